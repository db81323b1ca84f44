#include <algorithm>
#include <cstring>

#include "common/abi/cuda_green.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/green.h"
#include "sim/cuda/journal.h"

using namespace tessera::sim::cuda;

namespace {

/// Of compute capability 9: partitions of 8 at least, in steps of 8; without the regard for
/// clusters, of 2.
constexpr unsigned int kStep = 8;
constexpr unsigned int kFineStep = 2;
constexpr std::uint64_t kMagic = 0x7465737365726153;

/// What stands in the padding of a CUdevResource.
struct Mark {
  std::uint64_t magic;
  Device* device;
};

CUdevResource Multiprocessors(Device& device, unsigned int count) {
  CUdevResource resource{};
  if (count == 0) return resource;
  const Mark mark{kMagic, &device};
  std::memcpy(resource._internal_padding, &mark, sizeof(mark));
  resource.type = CU_DEV_RESOURCE_TYPE_SM;
  resource.sm = {count, kStep, kStep};
  return resource;
}

/// Null: not a resource that we have given out.
Device* DeviceOf(const CUdevResource& resource) {
  Mark mark{};
  std::memcpy(&mark, resource._internal_padding, sizeof(mark));
  return mark.magic == kMagic && resource.type == CU_DEV_RESOURCE_TYPE_SM ? mark.device : nullptr;
}

CUresult Tell(Device* device, unsigned int sms, CUdevResource* out, CUdevResourceType type) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_DEV_RESOURCE_TYPE_SM) return CUDA_ERROR_INVALID_RESOURCE_TYPE;
  *out = Multiprocessors(*device, sms);
  return CUDA_SUCCESS;
}

CUresult Split(CUdevResource* result, unsigned int* groups, const CUdevResource& input,
               CUdevResource* remaining, unsigned int flags, unsigned int min_count) {
  Device* const device = DeviceOf(input);
  if (device == nullptr) return CUDA_ERROR_INVALID_RESOURCE_TYPE;
  if (min_count > input.sm.smCount) return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
  const bool fine = (flags & CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING) != 0;
  const auto size =
      static_cast<unsigned int>(RoundUp(std::max(min_count, 1U), fine ? kFineStep : kStep));
  const unsigned int most = input.sm.smCount / size;
  *groups = result == nullptr ? most : std::min(*groups, most);
  if (result == nullptr) return CUDA_SUCCESS;
  for (unsigned int i = 0; i < *groups; ++i) result[i] = Multiprocessors(*device, size);
  if (remaining != nullptr) {
    *remaining = Multiprocessors(*device, input.sm.smCount - *groups * size);
  }
  return CUDA_SUCCESS;
}

CUresult Describe(CUdevResourceDesc* out, const CUdevResource* resources, unsigned int count) {
  auto desc = std::make_shared<ResourceDesc>();
  for (unsigned int i = 0; i < count; ++i) {
    Device* const device = DeviceOf(resources[i]);
    if (device == nullptr) return CUDA_ERROR_INVALID_RESOURCE_TYPE;
    if (i > 0 && device != desc->device) return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
    desc->device = device;
    desc->sms += resources[i].sm.smCount;
  }
  *out = reinterpret_cast<CUdevResourceDesc>(desc.get());
  TheDriver().resource_descs.Add(std::move(desc));
  return CUDA_SUCCESS;
}

/// At most so many bytes of what green contexts have left with their primary one, taken from there.
std::uint64_t Reuse(Context& home, std::uint64_t most) {
  if (!home.device->config.green_reuse) return 0;
  const std::lock_guard lock(home.device->mu);
  const std::uint64_t bytes = std::min(most, home.left_bytes.load());
  home.left_bytes -= bytes;
  home.charged_bytes -= bytes;
  return bytes;
}

/// What a green context leaves stays in use until its primary context ends.
void Leave(Context& home, std::uint64_t bytes) {
  const std::lock_guard lock(home.device->mu);
  if (home.destroyed) {  // reset meanwhile
    home.device->Release(bytes);
    return;
  }
  home.left_bytes += bytes;
  home.charged_bytes += bytes;
}

/// Its own part, and a context that shows it. Null: out of memory.
ContextPtr MakeGreen(const ContextPtr& home, unsigned int sms) {
  Device& device = *home->device;
  const std::uint64_t cost = device.config.green_mib << 20;
  const std::uint64_t reused = Reuse(*home, cost);
  if (!device.Reserve(cost - reused)) {
    Leave(*home, reused);
    return nullptr;
  }
  auto ctx = std::make_shared<Context>();
  ctx->device = &device;
  ctx->home = home;
  ctx->fault = home->fault;  // one address space: what breaks one breaks all
  ctx->flags = home->flags;
  ctx->charged_bytes = cost;
  ctx->sms = static_cast<int>(sms);
  ctx->legacy = std::make_shared<Stream>();
  ctx->legacy->ctx = ctx;
  ctx->legacy->legacy = true;
  ctx->legacy->id = 1;
  TheDriver().contexts.Add(ctx);
  return ctx;
}

CUresult Create(CUgreenCtx* out, CUdevResourceDesc handle, CUdevice ordinal, unsigned int flags) {
  if (const CUresult error = Ready()) return error;
  Device* const device = FindDevice(ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const auto desc = TheDriver().resource_descs.Find(handle);
  if (out == nullptr || desc == nullptr || desc->device != device ||
      flags != CU_GREEN_CTX_DEFAULT_STREAM) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUcontext primary{};
  if (const CUresult error = cuDevicePrimaryCtxRetain(&primary, ordinal)) return error;
  auto green = std::make_shared<GreenContext>();
  green->device = device;
  green->ctx = MakeGreen(TheDriver().contexts.Find(primary), desc->sms);
  if (green->ctx == nullptr) {
    cuDevicePrimaryCtxRelease_v2(ordinal);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  green->ctx->green = green.get();
  *out = reinterpret_cast<CUgreenCtx>(green.get());
  TheDriver().green_contexts.Add(std::move(green));
  return CUDA_SUCCESS;
}

/// Its streams go; memory and code are the primary context's.
CUresult Destroy(CUgreenCtx handle) {
  if (const CUresult error = Ready()) return error;
  const auto green = TheDriver().green_contexts.Take(handle);
  if (green == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  Context& ctx = *green->ctx;
  ctx.destroyed = true;
  green->device->engine->Wait(ctx.last);
  const auto ours = [&](const auto& object) { return object.ctx.lock() == green->ctx; };
  TheDriver().streams.TakeIf(ours);
  TheDriver().events.TakeIf(ours);
  TheDriver().contexts.Take(&ctx);
  const std::uint64_t left =
      std::min(ctx.charged_bytes.load(), green->device->config.green_left_mib << 20);
  Leave(*ctx.home, left);
  green->device->Release(ctx.charged_bytes - left);
  cuDevicePrimaryCtxRelease_v2(green->device->ordinal);
  auto& stack = ThreadContexts();
  if (!stack.empty() && stack.back() == green->ctx) stack.pop_back();
  return CUDA_SUCCESS;
}

CUresult MakeStream(CUstream* out, CUgreenCtx handle, unsigned int flags, int priority) {
  if (const CUresult error = Ready()) return error;
  const auto green = TheDriver().green_contexts.Find(handle);
  if (green == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (out == nullptr || flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
  auto stream = std::make_shared<Stream>();
  stream->ctx = green->ctx;
  stream->flags = flags;
  stream->priority = std::clamp(priority, -5, 0);
  stream->id = TheDriver().next_stream_id++;
  *out = reinterpret_cast<CUstream>(stream.get());
  TheDriver().streams.Add(std::move(stream));
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuDeviceGetDevResource(CUdevice ordinal, CUdevResource* resource, CUdevResourceType type) {
  if (const CUresult error = Ready()) return error;
  Device* const device = FindDevice(ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  return Tell(device, static_cast<unsigned int>(device->config.sms), resource, type);
}

CUresult cuCtxGetDevResource(CUcontext handle, CUdevResource* resource, CUdevResourceType type) {
  if (const CUresult error = Ready()) return error;
  const ContextPtr ctx = TheDriver().contexts.Find(handle);
  if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const int sms = ctx->sms != 0 ? ctx->sms : ctx->device->config.sms;
  return Tell(ctx->device, static_cast<unsigned int>(sms), resource, type);
}

CUresult cuGreenCtxGetDevResource(CUgreenCtx handle, CUdevResource* resource,
                                  CUdevResourceType type) {
  if (const CUresult error = Ready()) return error;
  const auto green = TheDriver().green_contexts.Find(handle);
  if (green == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  return Tell(green->device, static_cast<unsigned int>(green->ctx->sms), resource, type);
}

CUresult cuDevSmResourceSplitByCount(CUdevResource* result, unsigned int* groups,
                                     const CUdevResource* input, CUdevResource* remaining,
                                     unsigned int flags, unsigned int min_count) {
  if (const CUresult error = Ready()) return error;
  if (groups == nullptr || input == nullptr || flags > 3) return CUDA_ERROR_INVALID_VALUE;
  return Split(result, groups, *input, remaining, flags, min_count);
}

CUresult cuDevResourceGenerateDesc(CUdevResourceDesc* desc, CUdevResource* resources,
                                   unsigned int count) {
  if (const CUresult error = Ready()) return error;
  if (desc == nullptr || resources == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
  return Describe(desc, resources, count);
}

CUresult cuGreenCtxCreate(CUgreenCtx* green, CUdevResourceDesc desc, CUdevice device,
                          unsigned int flags) {
  return Journal("cuGreenCtxCreate", {}, Create(green, desc, device, flags));
}

CUresult cuGreenCtxDestroy(CUgreenCtx green) {
  return Journal("cuGreenCtxDestroy", {}, Destroy(green));
}

CUresult cuCtxFromGreenCtx(CUcontext* ctx, CUgreenCtx handle) {
  if (const CUresult error = Ready()) return error;
  const auto green = TheDriver().green_contexts.Find(handle);
  if (green == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (ctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *ctx = reinterpret_cast<CUcontext>(green->ctx.get());
  return CUDA_SUCCESS;
}

CUresult cuGreenCtxStreamCreate(CUstream* stream, CUgreenCtx green, unsigned int flags,
                                int priority) {
  return MakeStream(stream, green, flags, priority);
}

/// Null for a stream of any other context.
CUresult cuStreamGetGreenCtx(CUstream stream, CUgreenCtx* green) {
  const Target target(stream, false);
  if (target.error != CUDA_SUCCESS) return target.error;
  if (green == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *green = reinterpret_cast<CUgreenCtx>(target.owner->green);
  return CUDA_SUCCESS;
}

}  // extern "C"
