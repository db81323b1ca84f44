#include "common/abi/cuda_share.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/vmm.h"

using namespace tessera::sim::cuda;

namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

CUresult Export(void* out, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
                unsigned long long flags) {
  if (const CUresult error = Ready()) return error;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  const auto found = vmm.handles.find(handle);
  if (out == nullptr || flags != 0 || found == vmm.handles.end() || type != kDescriptor ||
      (found->second.physical->prop.requestedHandleTypes & kDescriptor) == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const int fd = ExportPhysical(*found->second.physical);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *static_cast<int*>(out) = fd;
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType type, unsigned long long flags) {
  return Export(out, handle, type, flags);
}

/// A handle of its own, also where the memory was made by this process.
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* os_handle,
                                        CUmemAllocationHandleType type) {
  if (const CUresult error = Ready()) return error;
  if (handle == nullptr || type != kDescriptor) return CUDA_ERROR_INVALID_VALUE;
  auto physical = ImportPhysical(static_cast<int>(reinterpret_cast<std::intptr_t>(os_handle)));
  if (physical == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  *handle = vmm.next_handle++;
  vmm.handles.emplace(*handle, Handle{std::move(physical), 1});
  return CUDA_SUCCESS;
}

}  // extern "C"
