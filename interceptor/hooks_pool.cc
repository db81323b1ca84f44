#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

// Pools give memory back to their device when they are trimmed or destroyed, and at every
// synchronisation. The charge follows at each of these calls. A pool of managed memory, which comes
// to the device page by page, is refused as by a device that has none: nothing tells what it takes.

namespace tessera {
namespace {

/// After the driver has waited for work: frees that were queued are done, and pools have given back
/// what is beyond their threshold.
CUresult Synchronized(const HookScope& scope, CUresult result) {
  if (!scope.nested() && result == CUDA_SUCCESS && session::Ready()) SettlePools();
  return result;
}

CUresult Destroy(const HookScope& scope, PoolAccount& account, CUmemoryPool pool) {
  const region::Lock lock(account.mutex);
  scope.real().cuMemPoolTrimTo(pool, 0);
  SettlePoolAnyway(account);
  // The driver may give the handle to a new pool as soon as it has it back.
  account.handle.store(nullptr, std::memory_order_release);
  const CUresult result = scope.real().cuMemPoolDestroy(pool);
  if (result == CUDA_SUCCESS) {
    PoolDestroyed(account);
  } else {
    account.handle.store(pool, std::memory_order_release);
  }
  return result;
}

bool IsOnDevice(const CUmemPoolProps& props) {
  return props.location.type == CU_MEM_LOCATION_TYPE_DEVICE;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* props) {
  const HookScope scope;
  const bool watched = !scope.nested() && session::Ready();
  if (watched && props != nullptr && props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  const CUresult result = scope.real().cuMemPoolCreate(pool, props);
  if (!watched || result != CUDA_SUCCESS) return result;
  PoolOf(*pool, IsOnDevice(*props) ? props->location.id : kNoDeviceMemory);
  return result;
}

CUresult cuMemPoolDestroy(CUmemoryPool pool) {
  const HookScope scope;
  PoolAccount* const account = scope.nested() || !session::Ready() ? nullptr : FindPool(pool);
  if (account == nullptr) return scope.real().cuMemPoolDestroy(pool);
  ForgetCurrentPools();
  const CUresult result = Destroy(scope, *account, pool);
  ForgetCurrentPools();
  return result;
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, std::size_t bytes_to_keep) {
  const HookScope scope;
  const CUresult result = scope.real().cuMemPoolTrimTo(pool, bytes_to_keep);
  return Synchronized(scope, result);
}

CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool) {
  const HookScope scope;
  const CUresult result = scope.real().cuDeviceSetMemPool(device, pool);
  ForgetCurrentPools();
  return result;
}

CUresult cuMemSetMemPool(CUmemLocation* location, CUmemAllocationType type, CUmemoryPool pool) {
  const HookScope scope;
  const CUresult result = scope.real().cuMemSetMemPool(location, type, pool);
  ForgetCurrentPools();
  return result;
}

CUresult cuCtxSynchronize(void) {
  const HookScope scope;
  return Synchronized(scope, scope.real().cuCtxSynchronize());
}

CUresult cuCtxSynchronize_v2(CUcontext context) {
  const HookScope scope;
  return Synchronized(scope, scope.real().cuCtxSynchronize_v2(context));
}

CUresult cuStreamSynchronize(CUstream stream) {
  const HookScope scope;
  return Synchronized(scope, scope.real().cuStreamSynchronize(stream));
}

CUresult cuStreamSynchronize_ptsz(CUstream stream) {
  const HookScope scope;
  return Synchronized(scope, scope.real().cuStreamSynchronize_ptsz(stream));
}

CUresult cuEventSynchronize(CUevent event) {
  const HookScope scope;
  return Synchronized(scope, scope.real().cuEventSynchronize(event));
}
