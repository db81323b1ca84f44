#include "common/abi/cuda.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/scope.h"

// Launches are counted, for the agent's metric: one relaxed add on a cache line of this process.

namespace tessera {
namespace {

void CountLaunch(const HookScope& scope) {
  if (scope.nested() || !session::Ready()) return;
  // With one GPU there is nothing to ask.
  const session::DeviceIndex device = session::DeviceCount() == 1 ? 0 : CurrentPlace().device;
  if (device != session::kNoDevice) session::CountLaunch(device);
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                        void** params, void** extra) {
  const HookScope scope;
  CountLaunch(scope);
  return scope.real().cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z,
                                     shared_bytes, stream, params, extra);
}

CUresult cuLaunchKernel_ptsz(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                             unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                             unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                             void** params, void** extra) {
  const HookScope scope;
  CountLaunch(scope);
  return scope.real().cuLaunchKernel_ptsz(function, grid_x, grid_y, grid_z, block_x, block_y,
                                          block_z, shared_bytes, stream, params, extra);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** params,
                          void** extra) {
  const HookScope scope;
  CountLaunch(scope);
  return scope.real().cuLaunchKernelEx(config, function, params, extra);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction function, void** params,
                               void** extra) {
  const HookScope scope;
  CountLaunch(scope);
  return scope.real().cuLaunchKernelEx_ptsz(config, function, params, extra);
}
