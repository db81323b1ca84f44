// Preloaded after the library: the driver does not destroy green contexts while `refuses` is not 0.
#include <dlfcn.h>

#include "common/abi/cuda_green.h"

extern "C" int refuses;
int refuses = 0;

/// What dlsym finds is the library's, which leaves a call from within one of its own to the driver.
extern "C" CUresult cuGreenCtxDestroy(CUgreenCtx green) {
  if (refuses != 0) return CUDA_ERROR_UNKNOWN;
  void* const library = dlopen("libcuda.so.1", RTLD_LAZY);
  const auto destroy =
      reinterpret_cast<decltype(&cuGreenCtxDestroy)>(dlsym(library, "cuGreenCtxDestroy"));
  return destroy(green);
}
