#include <type_traits>

#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"
#include "interceptor/driver.h"
#include "interceptor/gate.h"
#include "interceptor/lane.h"
#include "interceptor/launches.h"
#include "interceptor/passage.h"
#include "interceptor/scope.h"

namespace tessera {
namespace {

/// The stream among a launch's arguments.
CUstream StreamOf(CUstream stream) { return stream; }
CUstream StreamOf(const CUlaunchConfig* config) {
  return config == nullptr ? nullptr : config->hStream;
}
template <typename First, typename... Rest>
CUstream StreamOf(First first, Rest... rest) {
  if constexpr (std::is_same_v<First, CUstream> || std::is_same_v<First, const CUlaunchConfig*>) {
    return StreamOf(first);
  } else {
    return StreamOf(rest...);
  }
}

template <auto kFunction, typename... Args>
[[gnu::noinline]] CUresult LaunchTheLongWay(Args... args) {
  const HookScope scope;
  const gate::Passage passage(scope, StreamOf(args...));
  return (scope.real().*kFunction)(args...);
}

/// The one path that programs take a million times a second: a look at the thread's word and at its
/// lease, an add, a jump. It needs no scope: nobody but the driver is called. The arguments stay
/// where they are, as long as the long way is a function of its own.
template <auto kFunction, typename... Args>
[[gnu::always_inline]] inline CUresult Launch(Args... args) {
  if (region::Word* const word = lane.count; word != nullptr && gate::Pass()) [[likely]] {
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

// NOLINTNEXTLINE(readability-function-size): the driver's own parameters
CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                   unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                   unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                                   void** params) {
  return Launch<&Driver::cuLaunchCooperativeKernel>(function, grid_x, grid_y, grid_z, block_x,
                                                    block_y, block_z, shared_bytes, stream, params);
}

// NOLINTNEXTLINE(readability-function-size): the driver's own parameters
CUresult cuLaunchCooperativeKernel_ptsz(CUfunction function, unsigned int grid_x,
                                        unsigned int grid_y, unsigned int grid_z,
                                        unsigned int block_x, unsigned int block_y,
                                        unsigned int block_z, unsigned int shared_bytes,
                                        CUstream stream, void** params) {
  return Launch<&Driver::cuLaunchCooperativeKernel_ptsz>(
      function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, params);
}
