#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/context_end.h"
#include "interceptor/driver.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

namespace tessera {
namespace {

constinit std::atomic<std::uint64_t> next_grave = 1;  // odd: no handle is

template <typename Destroy>
CUresult DestroyContext(const HookScope& scope, CUcontext context, const Destroy& destroy) {
  if (scope.nested() || context == nullptr || !session::Ready()) return destroy();
  const session::DeviceIndex noted = contexts::Forget(context);
  return EndContext(context, destroy, [&](CUresult result) {
    if (result != CUDA_SUCCESS) contexts::Restore(context, noted);
    return result == CUDA_SUCCESS;
  });
}

/// Release and reset: it has ended if it is not active afterwards; a reset ends it whoever holds
/// it.
template <typename End>
CUresult EndPrimary(const HookScope& scope, CUdevice device, const End& end, bool for_good) {
  CUcontext const context = scope.nested() || !session::Ready() ? nullptr : PrimaryOf(device);
  if (context == nullptr) return end();
  const session::DeviceIndex noted = contexts::Forget(context);
  contexts::ForgetAll();
  const region::Lock lock(MakingOf(device));
  return EndContext(context, end, [&](CUresult result) {
    const bool gone = result == CUDA_SUCCESS && (for_good || !PrimaryIsActive(device));
    if (!gone) contexts::Restore(context, noted);
    return gone;
  });
}

}  // namespace

std::uint64_t NewGrave() { return next_grave.fetch_add(2, std::memory_order_relaxed); }

bool PrimaryIsActive(CUdevice device) {
  unsigned int flags = 0;
  int active = 0;
  return Real().cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS && active != 0;
}

CUcontext PrimaryOf(CUdevice device) {
  CUcontext context = nullptr;
  // Nobody else's release must find it held by us.
  const region::Lock lock(MakingOf(device));
  if (!PrimaryIsActive(device)) return nullptr;
  if (Real().cuDevicePrimaryCtxRetain(&context, device) != CUDA_SUCCESS) return nullptr;
  Real().cuDevicePrimaryCtxRelease_v2(device);
  return context;
}

CUresult ReleasePrimary(const HookScope& scope, CUdevice device) {
  const auto release = [&] { return scope.real().cuDevicePrimaryCtxRelease_v2(device); };
  return EndPrimary(scope, device, release, false);
}

}  // namespace tessera

using namespace tessera;

CUresult cuCtxAttach(CUcontext* context, unsigned int flags) {
  const HookScope scope;
  const CUresult result = scope.real().cuCtxAttach(context, flags);
  if (!scope.nested() && result == CUDA_SUCCESS && session::Ready()) {
    ContextLedger().Retain(KeyOf(*context));
  }
  return result;
}

CUresult cuCtxDetach(CUcontext context) {
  const HookScope scope;
  const auto detach = [&] { return scope.real().cuCtxDetach(context); };
  Charge charge;
  if (scope.nested() || !session::Ready() || !ContextLedger().Find(KeyOf(context), charge)) {
    return detach();
  }
  if (charge.references == 1) return DestroyContext(scope, context, detach);
  const CUresult result = detach();
  if (result == CUDA_SUCCESS) ContextLedger().Drop(KeyOf(context), charge);
  return result;
}

CUresult cuCtxDestroy(CUcontext context) {
  const HookScope scope;
  return DestroyContext(scope, context, [&] { return scope.real().cuCtxDestroy(context); });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  const HookScope scope;
  return DestroyContext(scope, context, [&] { return scope.real().cuCtxDestroy_v2(context); });
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  const HookScope scope;
  const auto release = [&] { return scope.real().cuDevicePrimaryCtxRelease(device); };
  return EndPrimary(scope, device, release, false);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  const HookScope scope;
  const auto release = [&] { return scope.real().cuDevicePrimaryCtxRelease_v2(device); };
  return EndPrimary(scope, device, release, false);
}

CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  const HookScope scope;
  const auto reset = [&] { return scope.real().cuDevicePrimaryCtxReset(device); };
  return EndPrimary(scope, device, reset, true);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  const HookScope scope;
  const auto reset = [&] { return scope.real().cuDevicePrimaryCtxReset_v2(device); };
  return EndPrimary(scope, device, reset, true);
}
