#include "common/abi/cuda_share.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/ipc.h"
#include "sim/cuda/journal.h"

using namespace tessera::sim::cuda;

namespace {

/// Of memory of cuMemAlloc alone, from any address in it.
CUresult GetHandle(CUipcMemHandle* handle, CUdeviceptr ptr) {
  const Current current;
  if (!current) return current.error();
  const auto found = TheDriver().memory.Find(ptr);
  if (handle == nullptr || !found || found->kind != MemoryKind::kDevice) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  found->device->engine->Wait(found->device->engine->last());
  return ExportBlock(*found, *handle) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult Open(CUdeviceptr* ptr, const CUipcMemHandle& handle, unsigned int flags) {
  const Current current;
  if (!current) return current.error();
  if (ptr == nullptr || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return ImportBlock(current.ctx(), handle, *ptr);
}

}  // namespace

extern "C" {

CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr ptr) {
  return Journal("cuIpcGetMemHandle", {{"ptr", ptr}}, GetHandle(handle, ptr));
}
CUresult cuIpcOpenMemHandle(CUdeviceptr* ptr, CUipcMemHandle handle, unsigned int flags) {
  return Journal("cuIpcOpenMemHandle", {}, Open(ptr, handle, flags));
}
CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* ptr, CUipcMemHandle handle, unsigned int flags) {
  return Journal("cuIpcOpenMemHandle_v2", {}, Open(ptr, handle, flags));
}

CUresult cuIpcCloseMemHandle(CUdeviceptr ptr) {
  const Current current;
  if (!current) return current.error();
  const auto found = TheDriver().memory.Find(ptr);
  if (found) found->device->engine->Wait(found->device->engine->last());
  return Journal("cuIpcCloseMemHandle", {{"ptr", ptr}},
                 CloseImport(ptr) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

}  // extern "C"
