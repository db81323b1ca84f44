#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/scope.h"

// Stream-ordered allocations are charged by request, on the device of the stream, and returned when
// their free is queued. They share a ledger with the others: either kind of free takes either kind
// of pointer.

namespace tessera {
namespace {

/// Memory is where its pool is, which need not be the stream's GPU, and the driver tells it of the
/// memory only: the charge moves there when the memory is.
template <typename Undo>
CUresult MoveHome(CUdeviceptr ptr, std::uint64_t bytes, const Place& charged, const Undo& undo) {
  int ordinal = 0;
  const CUresult asked =
      Real().cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, ptr);
  const Place home = asked == CUDA_SUCCESS ? DevicePlace(ordinal) : charged;
  if (home.device == charged.device) return CUDA_SUCCESS;
  if (!session::TryReserve(home.device, bytes)) {
    FreeCharged(MemoryLedger(), ptr, undo);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const Charge charge{.bytes = bytes, .device = static_cast<std::uint32_t>(home.device)};
  return Settle(MemoryLedger(), ptr, charge, undo);
}

template <typename Allocate, typename Undo>
CUresult AllocateFromPool(CUdeviceptr* ptr, std::uint64_t bytes, CUstream stream,
                          const Allocate& allocate, const Undo& undo) {
  const Place place = StreamPlace(stream);
  const CUresult result = AllocateCharged(MemoryLedger(), place, bytes, ptr, allocate, undo);
  return result == CUDA_SUCCESS ? MoveHome(*ptr, bytes, place, undo) : result;
}

}  // namespace
}  // namespace tessera

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
  return AllocateFromPool(ptr, bytes, stream, allocate,
                          [&] { return scope.real().cuMemFreeAsync(*ptr, stream); });
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* ptr, std::size_t bytes, CUmemoryPool pool,
                                      CUstream stream) {
  const HookScope scope;
  const auto allocate = [&] {
    return scope.real().cuMemAllocFromPoolAsync_ptsz(ptr, bytes, pool, stream);
  };
  if (scope.nested() || ptr == nullptr) return allocate();
  return AllocateFromPool(ptr, bytes, stream, allocate,
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
