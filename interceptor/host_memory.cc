#include "interceptor/host_memory.h"

#include "interceptor/driver.h"

namespace tessera {

CUresult AllocateManaged(CUdeviceptr* ptr, std::size_t bytes, CUdevice device) {
  const CUresult result = Real().cuMemAllocManaged(ptr, bytes, CU_MEM_ATTACH_GLOBAL);
  if (result != CUDA_SUCCESS) return result;
  // Advice: the memory works without it, only slower.
  Real().cuMemAdvise(*ptr, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, device);
  Real().cuMemAdvise(*ptr, bytes, CU_MEM_ADVISE_SET_ACCESSED_BY, device);
  return CUDA_SUCCESS;
}

}  // namespace tessera
