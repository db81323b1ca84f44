#include "common/abi/cuda.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/scope.h"

// Stream-ordered allocations are charged by request, on the device of the stream, and returned when
// their free is queued. They share a ledger with the others: either kind of free takes either kind
// of pointer.

using namespace tessera;

CUresult cuMemAllocAsync(CUdeviceptr* ptr, std::size_t bytes, CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] { return scope.real().cuMemAllocAsync(ptr, bytes, stream); };
  if (scope.nested() || ptr == nullptr) return allocate();
  return AllocateCharged(MemoryLedger(), StreamPlace(stream), bytes, ptr, allocate,
                         [&] { return scope.real().cuMemFreeAsync(*ptr, stream); });
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr* ptr, std::size_t bytes, CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] { return scope.real().cuMemAllocAsync_ptsz(ptr, bytes, stream); };
  if (scope.nested() || ptr == nullptr) return allocate();
  return AllocateCharged(MemoryLedger(), StreamPlace(stream), bytes, ptr, allocate,
                         [&] { return scope.real().cuMemFreeAsync_ptsz(*ptr, stream); });
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* ptr, std::size_t bytes, CUmemoryPool pool,
                                 CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] {
    return scope.real().cuMemAllocFromPoolAsync(ptr, bytes, pool, stream);
  };
  if (scope.nested() || ptr == nullptr) return allocate();
  return AllocateCharged(MemoryLedger(), StreamPlace(stream), bytes, ptr, allocate,
                         [&] { return scope.real().cuMemFreeAsync(*ptr, stream); });
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* ptr, std::size_t bytes, CUmemoryPool pool,
                                      CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] {
    return scope.real().cuMemAllocFromPoolAsync_ptsz(ptr, bytes, pool, stream);
  };
  if (scope.nested() || ptr == nullptr) return allocate();
  return AllocateCharged(MemoryLedger(), StreamPlace(stream), bytes, ptr, allocate,
                         [&] { return scope.real().cuMemFreeAsync_ptsz(*ptr, stream); });
}

CUresult cuMemFreeAsync(CUdeviceptr ptr, CUstream stream) {
  const HookScope scope;
  const auto free = [&] { return scope.real().cuMemFreeAsync(ptr, stream); };
  return scope.nested() ? free() : FreeCharged(MemoryLedger(), ptr, free);
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr ptr, CUstream stream) {
  const HookScope scope;
  const auto free = [&] { return scope.real().cuMemFreeAsync_ptsz(ptr, stream); };
  return scope.nested() ? free() : FreeCharged(MemoryLedger(), ptr, free);
}
