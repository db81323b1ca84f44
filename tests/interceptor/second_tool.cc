// Another preloaded tool, as profilers are: it hooks allocations and launches too and passes on to
// whoever comes next. It asks for the next one in its constructor already, before any other
// library's has run; where nobody comes next it looks in the driver, and finds us there.
#include <dlfcn.h>

#include "common/abi/cuda.h"

extern "C" int second_tool_calls;
int second_tool_calls = 0;

namespace {

decltype(&::cuMemAlloc_v2) next_alloc = nullptr;
decltype(&::cuLaunchKernel) next_launch = nullptr;

template <typename Function>
void Find(void* where, const char* name, Function& function) {
  if (function == nullptr) function = reinterpret_cast<Function>(dlsym(where, name));
}

void FindIn(void* where) {
  Find(where, "cuMemAlloc_v2", next_alloc);
  Find(where, "cuLaunchKernel", next_launch);
}

[[gnu::constructor]] void FindNext() { FindIn(RTLD_NEXT); }

void Call() {
  ++second_tool_calls;
  if (next_alloc == nullptr || next_launch == nullptr) FindIn(dlopen("libcuda.so.1", RTLD_LAZY));
}

}  // namespace

extern "C" CUresult cuMemAlloc_v2(CUdeviceptr* ptr, std::size_t bytes) {
  Call();
  return next_alloc(ptr, bytes);
}

extern "C" CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                   unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                   unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                                   void** params, void** extra) {
  Call();
  return next_launch(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes,
                     stream, params, extra);
}
