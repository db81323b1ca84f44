#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/contexts.h"
#include "interceptor/driver.h"
#include "interceptor/gate.h"
#include "interceptor/overhead.h"
#include "interceptor/scope.h"

// A context that ends takes its allocations with it. They get an owner that no context ever was
// before the driver is asked, because it may hand out the context's handle and their addresses
// again at once; the charges return after it has answered.

namespace tessera {
namespace {

constinit std::atomic<std::uint64_t> next_grave = 1;  // odd: no handle is

/// `end` asks the driver; `gone` says whether the context has ended by it.
template <typename End, typename Gone>
CUresult EndContext(CUcontext context, const End& end, const Gone& gone) {
  // The gate's thread must not ask a context that is gone.
  contexts::Forget();
  gate::EndLeases();
  const std::uint64_t grave = next_grave.fetch_add(2, std::memory_order_relaxed);
  for (Ledger* ledger : {&MemoryLedger(), &ArrayLedger()}) {
    ledger->ChangeOwner(KeyOf(context), grave);
  }
  Charge own;
  const bool charged = TakeContext(context, own);
  const CUresult result = end();
  if (!gone(result)) {
    if (charged) PutContext(context, own);
    for (Ledger* ledger : {&MemoryLedger(), &ArrayLedger()}) {
      ledger->ChangeOwner(grave, KeyOf(context));
    }
    return result;
  }
  if (charged) Release(own);
  std::uint64_t bytes[region::kMaxDevices] = {};
  for (Ledger* ledger : {&MemoryLedger(), &ArrayLedger()}) ledger->TakeAllOf(grave, bytes);
  for (std::size_t i = 0; i < region::kMaxDevices; ++i) {
    session::Release(static_cast<session::DeviceIndex>(i), bytes[i]);
  }
  SettlePools();
  return result;
}

template <typename Destroy>
CUresult DestroyContext(const HookScope& scope, CUcontext context, const Destroy& destroy) {
  if (scope.nested() || context == nullptr || !session::Ready()) return destroy();
  return EndContext(context, destroy, [](CUresult result) { return result == CUDA_SUCCESS; });
}

bool IsActive(CUdevice device) {
  unsigned int flags = 0;
  int active = 0;
  return Real().cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS && active != 0;
}

/// A primary context keeps its handle for the process's life. Null: there is none at the moment.
CUcontext PrimaryOf(CUdevice device) {
  CUcontext context = nullptr;
  if (!IsActive(device)) return nullptr;
  if (Real().cuDevicePrimaryCtxRetain(&context, device) != CUDA_SUCCESS) return nullptr;
  Real().cuDevicePrimaryCtxRelease_v2(device);
  return context;
}

/// Release and reset: it has ended if it is not active afterwards; a reset ends it whoever holds
/// it.
template <typename End>
CUresult EndPrimary(const HookScope& scope, CUdevice device, const End& end, bool for_good) {
  CUcontext const context = scope.nested() || !session::Ready() ? nullptr : PrimaryOf(device);
  if (context == nullptr) return end();
  return EndContext(context, end, [&](CUresult result) {
    return result == CUDA_SUCCESS && (for_good || !IsActive(device));
  });
}

}  // namespace
}  // namespace tessera

using namespace tessera;

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
