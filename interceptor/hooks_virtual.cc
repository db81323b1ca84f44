#include "common/abi/cuda.h"
#include "interceptor/charge.h"
#include "interceptor/scope.h"

// Physical memory (cuMemCreate) lives while a handle to it or a mapping of it does; the usual order
// is create, map, release. So its charge has a reference for each handle and each mapping, and
// returns with the last one.

namespace tessera {
namespace {

/// A reference leaves the ledger before the driver is asked, because the driver may give the same
/// handle out again as soon as it has it back; it returns if the driver refuses.
template <typename Call>
CUresult DropCharged(std::uint64_t handle, const Call& call) {
  Charge last;
  const bool was_last = HandleLedger().Drop(handle, last);
  const CUresult result = call();
  if (result == CUDA_SUCCESS) {
    if (was_last && !last.kept) Release(last);
    return result;
  }
  Charge replaced;
  last.references = 1;
  if (was_last) {
    HandleLedger().Insert(handle, last, replaced);
  } else {
    HandleLedger().Retain(handle);
  }
  return result;
}

/// Mappings that one cuMemUnmap has ended, all but the first.
void DropMappings(CUdeviceptr from, CUdeviceptr to) {
  Charge mapping;
  while (from < to && MappingLedger().Take(from, mapping)) {
    DropCharged(mapping.owner, [] { return CUDA_SUCCESS; });
    from += mapping.bytes;
  }
}

bool OnDevice(const CUmemAllocationProp* prop) {
  return prop != nullptr && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes,
                     const CUmemAllocationProp* prop, unsigned long long flags) {
  const HookScope scope;
  const auto create = [&] { return scope.real().cuMemCreate(handle, bytes, prop, flags); };
  if (scope.nested() || handle == nullptr || !OnDevice(prop)) return create();
  return AllocateCharged(HandleLedger(), DevicePlace(prop->location.id), bytes, handle, create,
                         [&] { return scope.real().cuMemRelease(*handle); });
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  const HookScope scope;
  const auto release = [&] { return scope.real().cuMemRelease(handle); };
  if (scope.nested() || !session::Ready()) return release();
  return DropCharged(handle, release);
}

CUresult cuMemMap(CUdeviceptr ptr, std::size_t bytes, std::size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags) {
  const HookScope scope;
  const auto map = [&] { return scope.real().cuMemMap(ptr, bytes, offset, handle, flags); };
  if (scope.nested() || !session::Ready() || !HandleLedger().Retain(handle)) return map();
  CUresult result = map();
  Charge unused;
  if (result == CUDA_SUCCESS &&
      !MappingLedger().Insert(ptr, {.bytes = bytes, .owner = handle}, unused)) {
    scope.real().cuMemUnmap(ptr, bytes);
    result = CUDA_ERROR_OUT_OF_MEMORY;
  }
  // The handle that was passed keeps the memory alive: this cannot be the last reference.
  if (result != CUDA_SUCCESS) HandleLedger().Drop(handle, unused);
  return result;
}

CUresult cuMemUnmap(CUdeviceptr ptr, std::size_t bytes) {
  const HookScope scope;
  const auto unmap = [&] { return scope.real().cuMemUnmap(ptr, bytes); };
  Charge first;
  if (scope.nested() || !session::Ready() || !MappingLedger().Take(ptr, first)) return unmap();
  const CUresult result = DropCharged(first.owner, unmap);
  Charge replaced;
  if (result != CUDA_SUCCESS) {
    MappingLedger().Insert(ptr, first, replaced);
  } else {
    DropMappings(ptr + first.bytes, ptr + bytes);
  }
  return result;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  const HookScope scope;
  const CUresult result = scope.real().cuMemRetainAllocationHandle(handle, address);
  if (!scope.nested() && result == CUDA_SUCCESS && handle != nullptr && session::Ready()) {
    HandleLedger().Retain(*handle);
  }
  return result;
}
