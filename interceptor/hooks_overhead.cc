#include <pthread.h>

#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/overhead.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

// Nobody tells what the driver takes for a context: the first one on a device is measured while it
// is made, and its figure, kept in the region, is what every context of the container's
// processes is charged from then on, before it is made.

namespace tessera {
namespace {

/// One context of a device is made at a time, so that it is the one that is measured.
struct Making {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
};
constinit Making making[region::kMaxDevices];

pthread_mutex_t& MutexOf(CUdevice device) {
  return making[static_cast<unsigned int>(device) % region::kMaxDevices].mutex;
}

std::uint64_t Grown(const DeviceBytes& before, const DeviceBytes& after) {
  // A process that NVML did not list had nothing.
  const std::uint64_t from = after.of_process && !before.of_process ? 0 : before.bytes;
  const std::uint64_t grown = after.bytes > from ? after.bytes - from : 0;
  // More than that, and others took memory of the device while we looked.
  return grown <= region::kMaxContextBytes ? grown : 0;
}

Charge ContextCharge(session::DeviceIndex device, std::uint64_t bytes) {
  return {.bytes = bytes, .device = static_cast<std::uint16_t>(device)};
}

/// `create` asks the driver and leaves the new context in `*context`; `undo` ends it.
template <typename Create, typename Undo>
CUresult CreateMeasured(session::DeviceIndex device, const CUcontext* context, const Create& create,
                        const Undo& undo) {
  const DeviceBytes before = AskNvml(device);
  const CUresult result = create();
  if (result != CUDA_SUCCESS) return result;
  const std::uint64_t bytes = Grown(before, AskNvml(device));
  if (!session::TryReserve(device, bytes)) {
    undo();
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  session::LearnContextBytes(device, bytes);
  PutContext(*context, ContextCharge(device, bytes));
  return result;
}

/// REQUIRES: the device's mutex is held.
template <typename Create, typename Undo>
CUresult CreateCharged(CUdevice ordinal, const CUcontext* context, const Create& create,
                       const Undo& undo) {
  const session::DeviceIndex device = DevicePlace(ordinal).device;
  // A GPU that the limits do not name gives no memory, but may be asked about.
  if (device == session::kNoDevice) return create();
  const std::uint64_t known = session::ContextBytes(device);
  if (known == 0) return CreateMeasured(device, context, create, undo);
  if (!session::TryReserve(device, known)) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = create();
  if (result == CUDA_SUCCESS) {
    PutContext(*context, ContextCharge(device, known));
  } else {
    session::Release(device, known);
  }
  return result;
}

template <typename Create>
CUresult CreateContext(const HookScope& scope, CUcontext* context, CUdevice device,
                       const Create& create) {
  if (scope.nested() || context == nullptr || !session::Ready()) return create();
  const region::Lock lock(MutexOf(device));
  return CreateCharged(device, context, create,
                       [&] { return scope.real().cuCtxDestroy_v2(*context); });
}

bool IsActive(CUdevice device) {
  unsigned int flags = 0;
  int active = 0;
  return Real().cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS && active != 0;
}

}  // namespace

void ForgetContextCreationAfterFork() {
  for (Making& device : making) device.mutex = PTHREAD_MUTEX_INITIALIZER;
}

}  // namespace tessera

using namespace tessera;

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  const HookScope scope;
  const auto retain = [&] { return scope.real().cuDevicePrimaryCtxRetain(context, device); };
  if (scope.nested() || context == nullptr || !session::Ready() || IsActive(device))
    return retain();
  const region::Lock lock(MutexOf(device));
  if (IsActive(device)) return retain();
  return CreateCharged(device, context, retain,
                       [&] { return scope.real().cuDevicePrimaryCtxRelease_v2(device); });
}

CUresult cuCtxCreate(CUcontext* context, unsigned int flags, CUdevice device) {
  const HookScope scope;
  return CreateContext(scope, context, device,
                       [&] { return scope.real().cuCtxCreate(context, flags, device); });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned int flags, CUdevice device) {
  const HookScope scope;
  return CreateContext(scope, context, device,
                       [&] { return scope.real().cuCtxCreate_v2(context, flags, device); });
}

CUresult cuCtxCreate_v3(CUcontext* context, CUexecAffinityParam* affinity, int count,
                        unsigned int flags, CUdevice device) {
  const HookScope scope;
  return CreateContext(scope, context, device, [&] {
    return scope.real().cuCtxCreate_v3(context, affinity, count, flags, device);
  });
}

CUresult cuCtxCreate_v4(CUcontext* context, CUctxCreateParams* params, unsigned int flags,
                        CUdevice device) {
  const HookScope scope;
  return CreateContext(scope, context, device,
                       [&] { return scope.real().cuCtxCreate_v4(context, params, flags, device); });
}
