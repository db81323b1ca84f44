// Another preloaded tool, as profilers are: it hooks cuMemAlloc_v2 too and passes on to whoever
// comes next. It asks for the next one in its constructor already, before any other library's has
// run.
#include <dlfcn.h>

#include "common/abi/cuda.h"

extern "C" int second_tool_calls;
int second_tool_calls = 0;

namespace {
decltype(&::cuMemAlloc_v2) next = nullptr;

[[gnu::constructor]] void FindNext() {
  next = reinterpret_cast<decltype(next)>(dlsym(RTLD_NEXT, "cuMemAlloc_v2"));
}
}  // namespace

extern "C" CUresult cuMemAlloc_v2(CUdeviceptr* ptr, std::size_t bytes) {
  ++second_tool_calls;
  if (next == nullptr) {
    void* const driver = dlopen("libcuda.so.1", RTLD_LAZY);
    next = reinterpret_cast<decltype(next)>(dlsym(driver, "cuMemAlloc_v2"));
  }
  return next(ptr, bytes);
}
