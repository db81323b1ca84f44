#include <pthread.h>

#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/context_end.h"
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

Charge ContextCharge(session::DeviceIndex device, std::uint64_t bytes) {
  return {.bytes = bytes, .account = static_cast<std::uint16_t>(device)};
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
  return Settle(ContextLedger(), KeyOf(*context), ContextCharge(device, bytes), undo);
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
  if (result != CUDA_SUCCESS) {
    session::Release(device, known);
    return result;
  }
  return Settle(ContextLedger(), KeyOf(*context), ContextCharge(device, known), undo);
}

template <typename Create>
CUresult CreateContext(const HookScope& scope, CUcontext* context, CUdevice device,
                       const Create& create) {
  if (scope.nested() || context == nullptr || !session::Ready()) return create();
  const region::Lock lock(MakingOf(device));
  const CUresult result = CreateCharged(device, context, create,
                                        [&] { return scope.real().cuCtxDestroy_v2(*context); });
  gate::EndLeaseOfOtherContext();
  return result;
}

}  // namespace

pthread_mutex_t& MakingOf(CUdevice device) {
  return making[static_cast<unsigned int>(device) % region::kMaxDevices].mutex;
}

CUresult RetainPrimary(const HookScope& scope, CUcontext* context, CUdevice device) {
  const auto retain = [&] { return scope.real().cuDevicePrimaryCtxRetain(context, device); };
  if (PrimaryIsActive(device)) return retain();
  const region::Lock lock(MakingOf(device));
  if (PrimaryIsActive(device)) return retain();
  return CreateCharged(device, context, retain,
                       [&] { return scope.real().cuDevicePrimaryCtxRelease_v2(device); });
}

void ForgetContextCreationAfterFork() {
  for (Making& device : making) device.mutex = PTHREAD_MUTEX_INITIALIZER;
}

}  // namespace tessera

using namespace tessera;

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  const HookScope scope;
  if (scope.nested() || context == nullptr || !session::Ready()) {
    return scope.real().cuDevicePrimaryCtxRetain(context, device);
  }
  return RetainPrimary(scope, context, device);
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
