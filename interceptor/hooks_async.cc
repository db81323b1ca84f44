#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/pool_account.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

// Stream-ordered allocations come out of pools, and it is the pool that is charged, with what it
// has reserved from its device. Where the pool has room, as the driver tells, an allocation changes
// nothing; where it must grow, the request is reserved first and settled by the growth. Blocks
// stand in the ledger of addresses, because either kind of free takes either kind of pointer.

namespace tessera {
namespace {

/// One allocation from a pool: what was asked for and how to ask and to undo.
template <typename Allocate>
struct Request {
  CUdeviceptr* ptr;
  std::uint64_t bytes;
  const Allocate& allocate;
};

/// Gives the block and what the pool grew by for it back to the device. The free must be complete
/// before the pool can be trimmed, so it is the synchronous one.
void Undo(PoolAccount& pool, CUdeviceptr ptr) {
  const RelaxedCapture relaxed;
  Real().cuMemFree_v2(ptr);
  Real().cuMemPoolTrimTo(pool.handle.load(std::memory_order_relaxed), 0);
  SettlePoolAnyway(pool);
}

/// What nobody can be charged for.
CUresult GiveBack(CUdeviceptr ptr) {
  const RelaxedCapture relaxed;
  Real().cuMemFree_v2(ptr);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

/// The pool may have to grow. Its mutex is held across the driver's call, so that two threads that
/// make it grow at once do not take each other's growth for theirs.
template <typename Allocate>
CUresult AllocateGrowing(PoolAccount& pool, const Request<Allocate>& request) {
  const region::Lock lock(pool.mutex);
  for (const auto refusal : {session::Refusal::kTentative, session::Refusal::kFinal}) {
    // Room in pieces that are too small is given back for a second try.
    if (refusal == session::Refusal::kFinal) {
      const RelaxedCapture relaxed;
      Real().cuMemPoolTrimTo(pool.handle.load(std::memory_order_relaxed), 0);
      SettlePoolAnyway(pool);
    }
    const std::uint64_t credit = UnusedOf(pool) < request.bytes ? request.bytes : 0;
    if (credit != 0 && !session::TryReserve(pool.device, credit, refusal)) continue;
    const CUresult result = request.allocate();
    if (result != CUDA_SUCCESS) {
      session::Release(pool.device, credit);
      return result;
    }
    if (SettlePool(pool, credit, refusal)) return CUDA_SUCCESS;
    Undo(pool, *request.ptr);
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <typename Allocate>
CUresult AllocateBlock(PoolAccount& pool, const Request<Allocate>& request) {
  CUresult result = CUDA_SUCCESS;
  if (UnusedOf(pool) < request.bytes) {
    result = AllocateGrowing(pool, request);
  } else {
    result = request.allocate();
    if (result == CUDA_SUCCESS && HasChanged(pool)) {
      const region::Lock lock(pool.mutex);
      if (!SettlePool(pool, 0, session::Refusal::kFinal)) {
        Undo(pool, *request.ptr);
        result = CUDA_ERROR_OUT_OF_MEMORY;
      }
    }
  }
  if (result != CUDA_SUCCESS || *request.ptr == 0) return result;
  BlockArrives(pool);
  return Settle(MemoryLedger(), *request.ptr, BlockOf(pool),
                [&] { Real().cuMemFree_v2(*request.ptr); });
}

/// A pool that we have not seen made, such as another library's: the memory that comes out of it
/// tells where it is.
template <typename Allocate>
CUresult AllocateFromStranger(CUmemoryPool handle, const Request<Allocate>& request) {
  const CUresult result = request.allocate();
  if (result != CUDA_SUCCESS) return result;
  unsigned int managed = 0;
  Real().cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, *request.ptr);
  if (managed != 0) return GiveBack(*request.ptr);
  int ordinal = 0;
  const CUresult asked =
      Real().cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, *request.ptr);
  PoolAccount* const pool = asked == CUDA_SUCCESS ? PoolOf(handle, ordinal) : nullptr;
  if (asked != CUDA_SUCCESS) return result;
  if (pool == nullptr) return GiveBack(*request.ptr);
  const region::Lock lock(pool->mutex);
  if (!SettlePool(*pool, 0, session::Refusal::kFinal)) {
    Undo(*pool, *request.ptr);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  BlockArrives(*pool);
  return Settle(MemoryLedger(), *request.ptr, BlockOf(*pool),
                [&] { Real().cuMemFree_v2(*request.ptr); });
}

/// What a capturing stream is asked becomes a node of its graph and takes no memory yet. The legacy
/// stream cannot be captured.
bool IsCapturing(CUstream stream, decltype(&::cuStreamIsCapturing) ask, CUstream never_captured) {
  if (stream == never_captured) return false;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return ask(stream, &status) == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/// What stands in for the device's memory is managed, and of that the driver knows no free in the
/// order of a stream: it waits for the stream instead.
template <typename Free, typename Wait>
CUresult FreeInOrder(const HookScope& scope, CUdeviceptr ptr, const Free& free, const Wait& wait) {
  CUresult result = FreeCharged(MemoryLedger(), ptr, free);
  Charge charge;
  if (result != CUDA_ERROR_INVALID_VALUE || !session::Ready() ||
      !MemoryLedger().Find(ptr, charge) || charge.pooled || charge.account < region::kMaxDevices) {
    return result;
  }
  result = wait();
  if (result != CUDA_SUCCESS) return result;
  return FreeCharged(MemoryLedger(), ptr, [&] { return scope.real().cuMemFree_v2(ptr); });
}

template <typename Allocate>
CUresult AllocateFromCurrent(CUdeviceptr* ptr, std::uint64_t bytes, CUstream stream,
                             const Allocate& allocate) {
  const Place place = StreamPlace(stream);
  if (place.result != CUDA_SUCCESS) return place.result;
  PoolAccount* const pool = CurrentPoolOf(place.ordinal);
  if (pool != nullptr) return AllocateBlock(*pool, Request<Allocate>{ptr, bytes, allocate});
  const CUresult result = allocate();
  return result == CUDA_SUCCESS ? GiveBack(*ptr) : result;
}

template <typename Allocate>
CUresult AllocateFromPool(CUdeviceptr* ptr, std::uint64_t bytes, CUmemoryPool handle,
                          CUstream stream, const Allocate& allocate) {
  const Place place = StreamPlace(stream);
  if (place.result != CUDA_SUCCESS) return place.result;
  const Request<Allocate> request{ptr, bytes, allocate};
  PoolAccount* const pool = FindAnyPool(handle);
  if (pool != nullptr && pool->ordinal == kNoDeviceMemory) return allocate();
  return pool == nullptr ? AllocateFromStranger(handle, request) : AllocateBlock(*pool, request);
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuMemAllocAsync(CUdeviceptr* ptr, std::size_t bytes, CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] { return scope.real().cuMemAllocAsync(ptr, bytes, stream); };
  if (scope.nested() || ptr == nullptr ||
      IsCapturing(stream, scope.real().cuStreamIsCapturing, nullptr)) {
    return allocate();
  }
  return AllocateFromCurrent(ptr, bytes, stream, allocate);
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr* ptr, std::size_t bytes, CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] { return scope.real().cuMemAllocAsync_ptsz(ptr, bytes, stream); };
  if (scope.nested() || ptr == nullptr ||
      IsCapturing(stream, scope.real().cuStreamIsCapturing_ptsz, CU_STREAM_LEGACY)) {
    return allocate();
  }
  return AllocateFromCurrent(ptr, bytes, stream, allocate);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* ptr, std::size_t bytes, CUmemoryPool pool,
                                 CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] {
    return scope.real().cuMemAllocFromPoolAsync(ptr, bytes, pool, stream);
  };
  if (scope.nested() || ptr == nullptr ||
      IsCapturing(stream, scope.real().cuStreamIsCapturing, nullptr)) {
    return allocate();
  }
  return AllocateFromPool(ptr, bytes, pool, stream, allocate);
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* ptr, std::size_t bytes, CUmemoryPool pool,
                                      CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] {
    return scope.real().cuMemAllocFromPoolAsync_ptsz(ptr, bytes, pool, stream);
  };
  if (scope.nested() || ptr == nullptr ||
      IsCapturing(stream, scope.real().cuStreamIsCapturing_ptsz, CU_STREAM_LEGACY)) {
    return allocate();
  }
  return AllocateFromPool(ptr, bytes, pool, stream, allocate);
}

CUresult cuMemFreeAsync(CUdeviceptr ptr, CUstream stream) {
  const HookScope scope;
  const auto free = [&] { return scope.real().cuMemFreeAsync(ptr, stream); };
  if (scope.nested()) return free();
  return FreeInOrder(scope, ptr, free, [&] {
    if (IsCapturing(stream, scope.real().cuStreamIsCapturing, nullptr)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    return scope.real().cuStreamSynchronize(stream);
  });
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr ptr, CUstream stream) {
  const HookScope scope;
  const auto free = [&] { return scope.real().cuMemFreeAsync_ptsz(ptr, stream); };
  if (scope.nested()) return free();
  return FreeInOrder(scope, ptr, free, [&] {
    if (IsCapturing(stream, scope.real().cuStreamIsCapturing_ptsz, CU_STREAM_LEGACY)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    return scope.real().cuStreamSynchronize_ptsz(stream);
  });
}
