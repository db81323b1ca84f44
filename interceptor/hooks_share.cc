#include "common/abi/cuda_share.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/scope.h"

// Memory that is shared is paid for by the process that made it. What was handed out as a file
// descriptor, a fabric handle, a part of a multicast object or of an array lives on without any
// handle or mapping that we could see, so it stays charged until its maker ends. Importers are
// charged nothing.

namespace tessera {
namespace {

CUresult Shared(const HookScope& scope, CUmemGenericAllocationHandle handle, CUresult result) {
  if (!scope.nested() && result == CUDA_SUCCESS && session::Ready()) HandleLedger().Keep(handle);
  return result;
}

/// The same of memory that is named by an address within its mapping: the driver knows which.
CUresult SharedMapping(const HookScope& scope, CUdeviceptr ptr, CUresult result) {
  CUmemGenericAllocationHandle handle = 0;
  auto* const address = reinterpret_cast<void*>(ptr);
  if (scope.nested() || result != CUDA_SUCCESS || !session::Ready() ||
      Real().cuMemRetainAllocationHandle(&handle, address) != CUDA_SUCCESS) {
    return result;
  }
  HandleLedger().Keep(handle);
  Real().cuMemRelease(handle);
  return result;
}

/// Parts of arrays, which are unmapped by names that we do not follow.
CUresult SharedWithArrays(const HookScope& scope, const CUarrayMapInfo* list, unsigned int count,
                          CUresult result) {
  if (scope.nested() || result != CUDA_SUCCESS || !session::Ready()) return result;
  for (unsigned int i = 0; i < count; ++i) {
    if (list[i].memOperationType == CU_MEM_OPERATION_TYPE_MAP) {
      HandleLedger().Keep(list[i].memHandle);
    }
  }
  return result;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType type, unsigned long long flags) {
  const HookScope scope;
  const CUresult result = scope.real().cuMemExportToShareableHandle(out, handle, type, flags);
  return Shared(scope, handle, result);
}

CUresult cuMemMapArrayAsync(CUarrayMapInfo* list, unsigned int count, CUstream stream) {
  const HookScope scope;
  return SharedWithArrays(scope, list, count, scope.real().cuMemMapArrayAsync(list, count, stream));
}

CUresult cuMemMapArrayAsync_ptsz(CUarrayMapInfo* list, unsigned int count, CUstream stream) {
  const HookScope scope;
  return SharedWithArrays(scope, list, count,
                          scope.real().cuMemMapArrayAsync_ptsz(list, count, stream));
}

CUresult cuMulticastBindMem(CUmemGenericAllocationHandle multicast, std::size_t multicast_offset,
                            CUmemGenericAllocationHandle handle, std::size_t offset,
                            std::size_t bytes, unsigned long long flags) {
  const HookScope scope;
  return Shared(
      scope, handle,
      scope.real().cuMulticastBindMem(multicast, multicast_offset, handle, offset, bytes, flags));
}

CUresult cuMulticastBindMem_v2(CUmemGenericAllocationHandle multicast, CUdevice device,
                               std::size_t multicast_offset, CUmemGenericAllocationHandle handle,
                               std::size_t offset, std::size_t bytes, unsigned long long flags) {
  const HookScope scope;
  return Shared(scope, handle,
                scope.real().cuMulticastBindMem_v2(multicast, device, multicast_offset, handle,
                                                   offset, bytes, flags));
}

CUresult cuMulticastBindAddr(CUmemGenericAllocationHandle multicast, std::size_t multicast_offset,
                             CUdeviceptr ptr, std::size_t bytes, unsigned long long flags) {
  const HookScope scope;
  return SharedMapping(
      scope, ptr, scope.real().cuMulticastBindAddr(multicast, multicast_offset, ptr, bytes, flags));
}

CUresult cuMulticastBindAddr_v2(CUmemGenericAllocationHandle multicast, CUdevice device,
                                std::size_t multicast_offset, CUdeviceptr ptr, std::size_t bytes,
                                unsigned long long flags) {
  const HookScope scope;
  return SharedMapping(
      scope, ptr,
      scope.real().cuMulticastBindAddr_v2(multicast, device, multicast_offset, ptr, bytes, flags));
}
