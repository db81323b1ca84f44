#include <algorithm>

#include "common/abi/cuda_legacy.h"
#include "common/abi/cuda_more.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/pool.h"

using namespace tessera::sim::cuda;

namespace {

constexpr unsigned int kKnownFlags = 0x3ff;
constexpr std::size_t kLastLimit = 12;

CUcontext Handle(const ContextPtr& ctx) { return reinterpret_cast<CUcontext>(ctx.get()); }

CUresult Create(CUcontext* out, unsigned int flags, CUdevice ordinal, unsigned int version) {
  if (const CUresult error = Ready()) return error;
  Device* device = FindDevice(ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  if (out == nullptr || (flags & ~kKnownFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  if (device->config.health == tessera::sim::gpu::Health::kLost) {
    return CUDA_ERROR_DEVICE_UNAVAILABLE;
  }
  CUresult error{};
  const ContextPtr ctx = MakeContext(*device, false, flags, version, error);
  if (ctx == nullptr) return error;
  ThreadContexts().push_back(ctx);
  *out = Handle(ctx);
  return CUDA_SUCCESS;
}

CUresult Push(CUcontext handle) {
  if (const CUresult error = Ready()) return error;
  const ContextPtr ctx = TheDriver().contexts.Find(handle);
  if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  ThreadContexts().push_back(ctx);
  return CUDA_SUCCESS;
}

CUresult Pop(CUcontext* out) {
  if (const CUresult error = Ready()) return error;
  auto& stack = ThreadContexts();
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (out != nullptr) *out = Handle(stack.back());
  stack.pop_back();
  return CUDA_SUCCESS;
}

CUresult Destroy(CUcontext handle) {
  if (const CUresult error = Ready()) return error;
  if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ContextPtr ctx = TheDriver().contexts.Find(handle);
  if (ctx == nullptr || ctx->primary || ctx->home != nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  DestroyContext(ctx);
  auto& stack = ThreadContexts();
  if (!stack.empty() && stack.back() == ctx) stack.pop_back();
  return CUDA_SUCCESS;
}

CUresult Attach(CUcontext* out, unsigned int flags) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (current->primary || current->home != nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  ++current->attached;
  *out = Handle(current.ctx());
  return CUDA_SUCCESS;
}

CUresult Detach(CUcontext handle) {
  const Current current;
  if (!current) return current.error();
  if (Handle(current.ctx()) != handle || current->primary || current->home != nullptr) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  return --current->attached == 0 ? Destroy(handle) : CUDA_SUCCESS;
}

/// What a limit of this value takes of the device beyond what every context has: stacks for as many
/// threads as the device runs at once, buffers as they are. When a real driver takes it is a guess.
std::uint64_t TakenBy(const Device& device, std::size_t limit, std::size_t value) {
  constexpr std::uint64_t kThreadsOfMultiprocessor = 2048;
  const std::uint64_t of_one =
      limit == CU_LIMIT_STACK_SIZE
          ? static_cast<std::uint64_t>(device.config.sms) * kThreadsOfMultiprocessor
          : 1;
  const std::size_t beyond = value - std::min(value, kDefaultLimits[limit]);
  return RoundUp(beyond * of_one, kVmmGranuleBytes);
}

}  // namespace

extern "C" {

CUresult cuCtxCreate(CUcontext* ctx, unsigned int flags, CUdevice device) {
  return Create(ctx, flags, device, 3010);
}
CUresult cuCtxCreate_v2(CUcontext* ctx, unsigned int flags, CUdevice device) {
  return Create(ctx, flags, device, 3020);
}
CUresult cuCtxCreate_v3(CUcontext* ctx, CUexecAffinityParam* affinity, int count,
                        unsigned int flags, CUdevice device) {
  // An affinity needs MPS, as on a real device.
  if (affinity != nullptr && count != 0) return CUDA_ERROR_NOT_SUPPORTED;
  return Create(ctx, flags, device, 3020);
}
CUresult cuCtxCreate_v4(CUcontext* ctx, CUctxCreateParams* params, unsigned int flags,
                        CUdevice device) {
  if (params != nullptr && (params->numExecAffinityParams != 0 || params->cigParams != nullptr)) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  return Create(ctx, flags, device, 3020);
}

CUresult cuCtxAttach(CUcontext* ctx, unsigned int flags) { return Attach(ctx, flags); }
CUresult cuCtxDetach(CUcontext ctx) { return Detach(ctx); }
CUresult cuCtxDestroy(CUcontext ctx) { return Destroy(ctx); }
CUresult cuCtxDestroy_v2(CUcontext ctx) { return Destroy(ctx); }
CUresult cuCtxPushCurrent(CUcontext ctx) { return Push(ctx); }
CUresult cuCtxPushCurrent_v2(CUcontext ctx) { return Push(ctx); }
CUresult cuCtxPopCurrent(CUcontext* ctx) { return Pop(ctx); }
CUresult cuCtxPopCurrent_v2(CUcontext* ctx) { return Pop(ctx); }

CUresult cuCtxSetCurrent(CUcontext handle) {
  if (const CUresult error = Ready()) return error;
  auto& stack = ThreadContexts();
  ContextPtr ctx;
  if (handle != nullptr) {
    ctx = TheDriver().contexts.Find(handle);
    if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (!stack.empty()) stack.pop_back();
  if (ctx != nullptr) stack.push_back(std::move(ctx));
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* out) {
  if (const CUresult error = Ready()) return error;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto& stack = ThreadContexts();
  *out = stack.empty() ? nullptr : Handle(stack.back());
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
  const Current current;
  if (current.ctx() == nullptr) return current.error();
  if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *device = current.device().ordinal;  // also of a context that has failed or is gone
  return CUDA_SUCCESS;
}

CUresult cuCtxGetFlags(unsigned int* flags) {
  const Current current;
  if (current.ctx() == nullptr) return current.error();
  if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = current->flags;  // also of a context that has failed
  return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext handle, unsigned long long* id) {
  if (const CUresult error = Ready()) return error;
  if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto& stack = ThreadContexts();
  const ContextPtr ctx = handle != nullptr ? TheDriver().contexts.Find(handle)
                         : stack.empty()   ? nullptr
                                           : stack.back();
  if (ctx == nullptr || ctx->destroyed) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  *id = reinterpret_cast<unsigned long long>(ctx.get());
  return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext handle, unsigned int* version) {
  if (const CUresult error = Ready()) return error;
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto& stack = ThreadContexts();
  const ContextPtr ctx = handle != nullptr ? TheDriver().contexts.Find(handle)
                         : stack.empty()   ? nullptr
                                           : stack.back();
  if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *version = ctx->api_version;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetLimit(std::size_t* value, CUlimit limit) {
  const Current current;
  if (!current) return current.error();
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto index = static_cast<std::size_t>(limit);
  if (index > 2)
    return index <= kLastLimit ? CUDA_ERROR_UNSUPPORTED_LIMIT : CUDA_ERROR_INVALID_VALUE;
  *value = HomeOf(current.ctx())->limits[index];
  return CUDA_SUCCESS;
}

CUresult cuCtxSetLimit(CUlimit limit, std::size_t value) {
  const Current current;
  if (!current) return current.error();
  const auto index = static_cast<std::size_t>(limit);
  if (index > 2)
    return index <= kLastLimit ? CUDA_ERROR_UNSUPPORTED_LIMIT : CUDA_ERROR_INVALID_VALUE;
  Context& home = *HomeOf(current.ctx());
  const std::lock_guard lock(home.mu);
  const std::uint64_t before = TakenBy(current.device(), index, home.limits[index]);
  const std::uint64_t after = TakenBy(current.device(), index, value);
  if (after > before && !current.device().Reserve(after - before)) return CUDA_ERROR_OUT_OF_MEMORY;
  if (after < before) current.device().Release(before - after);
  home.charged_bytes += after - before;
  home.limits[index] = value;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  const Current current;
  if (!current) return current.error();
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCacheConfig(int* config) {
  const Current current;
  if (!current) return current.error();
  if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *config = 0;
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCacheConfig(int) { return Current().error(); }

CUresult cuCtxSynchronize(void) {
  const Current current;
  if (!current) return current.error();
  if (const CUresult error = RefuseCaptureIn(current.ctx())) return error;
  const CUresult result = WaitFor(*current.ctx(), current->last);
  if (result == CUDA_SUCCESS) TrimPools(current.device());
  return result;
}

CUresult cuCtxSynchronize_v2(CUcontext handle) {
  if (handle == nullptr) return cuCtxSynchronize();
  if (const CUresult error = Ready()) return error;
  const ContextPtr ctx = TheDriver().contexts.Find(handle);
  if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (ctx->destroyed) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (const CUresult error = RefuseCaptureIn(ctx)) return error;
  const CUresult result = WaitFor(*ctx, ctx->last);
  if (result == CUDA_SUCCESS) TrimPools(*ctx->device);
  return result;
}

CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags) {
  const Current current;
  if (!current) return current.error();
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (TheDriver().contexts.Find(peer) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
}

CUresult cuCtxDisablePeerAccess(CUcontext peer) {
  const Current current;
  if (!current) return current.error();
  if (TheDriver().contexts.Find(peer) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}

}  // extern "C"
