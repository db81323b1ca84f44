// libcuda.so.1 of some later year: cuMemAlloc has a third variant with other parameters.
#include <dlfcn.h>

#include <cstring>

#include "common/abi/cuda.h"

extern "C" CUresult cuMemAlloc_v2(CUdeviceptr*, std::size_t) { return CUDA_SUCCESS; }
extern "C" int cuMemAlloc_v3(int, int, int) { return 3; }
extern "C" CUresult cuMemFree_v2(CUdeviceptr) { return CUDA_SUCCESS; }

extern "C" CUresult cuGetProcAddress_v2(const char* symbol, void** function, int cuda_version,
                                        cuuint64_t, CUdriverProcAddressQueryResult*) {
  *function = nullptr;
  if (strcmp(symbol, "cuMemAlloc") == 0) {
    *function = cuda_version >= 15000 ? reinterpret_cast<void*>(&cuMemAlloc_v3)
                                      : reinterpret_cast<void*>(&cuMemAlloc_v2);
  }
  if (strcmp(symbol, "cuMemFree") == 0) *function = reinterpret_cast<void*>(&cuMemFree_v2);
  return *function == nullptr ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}
