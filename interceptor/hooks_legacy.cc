#include "common/abi/cuda_legacy.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/passage.h"
#include "interceptor/scope.h"

// Ways to launch that a driver of today still has.

namespace tessera {
namespace {

/// The first launch of several is counted by its passage, on the current context's GPU as the
/// driver wants it; each further one on its own.
void CountFurther(const HookScope& scope, const CUDA_LAUNCH_PARAMS* launches, unsigned int count) {
  if (scope.nested() || launches == nullptr || !session::Ready()) return;
  for (unsigned int i = 1; i < count; ++i) {
    const Place place = StreamPlace(launches[i].hStream);
    if (place.result == CUDA_SUCCESS && place.device != session::kNoDevice) {
      session::CountLaunch(place.device);
    }
  }
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuLaunch(CUfunction function) {
  const HookScope scope;
  const gate::Passage passage(scope, nullptr);
  return scope.real().cuLaunch(function);
}

CUresult cuLaunchGrid(CUfunction function, int grid_x, int grid_y) {
  const HookScope scope;
  const gate::Passage passage(scope, nullptr);
  return scope.real().cuLaunchGrid(function, grid_x, grid_y);
}

CUresult cuLaunchGridAsync(CUfunction function, int grid_x, int grid_y, CUstream stream) {
  const HookScope scope;
  const gate::Passage passage(scope, stream);
  return scope.real().cuLaunchGridAsync(function, grid_x, grid_y, stream);
}

CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS* launches, unsigned int count,
                                              unsigned int flags) {
  const HookScope scope;
  const bool some = launches != nullptr && count > 0;
  const gate::Passage passage(scope, some ? launches->hStream : nullptr);
  CountFurther(scope, launches, count);
  return scope.real().cuLaunchCooperativeKernelMultiDevice(launches, count, flags);
}
