// What a program gets that opens a library of its own with RTLD_DEEPBIND: this is that library.
#include "common/abi/cuda.h"

extern "C" CUresult allocate_here(CUdeviceptr* ptr, std::size_t bytes);
extern "C" CUresult allocate_here(CUdeviceptr* ptr, std::size_t bytes) {
  return cuMemAlloc_v2(ptr, bytes);
}
