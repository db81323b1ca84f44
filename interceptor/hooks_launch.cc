#include "common/abi/cuda.h"
#include "interceptor/driver.h"
#include "interceptor/launches.h"
#include "interceptor/scope.h"

namespace tessera {
namespace {

template <auto kFunction, typename... Args>
[[gnu::noinline]] CUresult LaunchTheLongWay(Args... args) {
  const HookScope scope;
  if (!scope.nested()) launches::Count();
  return (scope.real().*kFunction)(args...);
}

/// The one path that programs take a million times a second: a look at the thread's word, an add to
/// it, a jump. It needs no scope: nobody but the driver is called. The arguments stay where they
/// are, as long as the long way is a function of its own.
template <auto kFunction, typename... Args>
[[gnu::always_inline]] inline CUresult Launch(Args... args) {
  if (region::Word* const word = launches::own) [[likely]] {
    launches::AddOwn(*word);
    return (RealLoaded().*kFunction)(args...);
  }
  return LaunchTheLongWay<kFunction>(args...);
}

}  // namespace
}  // namespace tessera

using namespace tessera;

// NOLINTNEXTLINE(readability-function-size): the driver's own parameters
CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                        void** params, void** extra) {
  return Launch<&Driver::cuLaunchKernel>(function, grid_x, grid_y, grid_z, block_x, block_y,
                                         block_z, shared_bytes, stream, params, extra);
}

// NOLINTNEXTLINE(readability-function-size): the driver's own parameters
CUresult cuLaunchKernel_ptsz(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                             unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                             unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                             void** params, void** extra) {
  return Launch<&Driver::cuLaunchKernel_ptsz>(function, grid_x, grid_y, grid_z, block_x, block_y,
                                              block_z, shared_bytes, stream, params, extra);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** params,
                          void** extra) {
  return Launch<&Driver::cuLaunchKernelEx>(config, function, params, extra);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction function, void** params,
                               void** extra) {
  return Launch<&Driver::cuLaunchKernelEx_ptsz>(config, function, params, extra);
}
