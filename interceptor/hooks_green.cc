#include "common/abi/cuda_green.h"
#include "interceptor/context_end.h"
#include "interceptor/driver.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

// A green context is a part of its device's multiprocessors within the primary context, which it
// holds. The primary context is charged by its own rule; what the part takes beside it depends on
// its size, so each is measured while it is made, and refused if it does not fit. What is allocated
// while one is current belongs to the primary context.

namespace tessera {
namespace {

/// REQUIRES: the device's primary context is held.
template <typename Create>
CUresult CreateMeasured(const HookScope& scope, CUgreenCtx* green, CUdevice ordinal,
                        CUcontext primary, const Create& create) {
  const session::DeviceIndex device = DevicePlace(ordinal).device;
  const region::Lock lock(MakingOf(ordinal));
  const DeviceBytes before = AskNvml(device);
  const CUresult result = create();
  if (result != CUDA_SUCCESS || device == session::kNoDevice) return result;
  const auto undo = [&] { return scope.real().cuGreenCtxDestroy(*green); };
  const std::uint64_t bytes = Grown(before, AskNvml(device));
  if (!session::TryReserve(device, bytes)) {
    undo();
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUcontext shown = nullptr;
  Real().cuCtxFromGreenCtx(&shown, *green);
  if (!RememberGreen(shown, ordinal, primary)) {
    undo();
    session::Release(device, bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const Charge charge = {.bytes = bytes,
                         .account = static_cast<std::uint16_t>(device),
                         .references = static_cast<std::uint32_t>(ordinal),
                         .owner = KeyOf(shown)};
  const CUresult settled = Settle(ContextLedger(), KeyOf(*green), charge, undo);
  if (settled != CUDA_SUCCESS) ForgetGreen(shown);
  return settled;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuGreenCtxCreate(CUgreenCtx* green, CUdevResourceDesc desc, CUdevice device,
                          unsigned int flags) {
  const HookScope scope;
  const auto create = [&] { return scope.real().cuGreenCtxCreate(green, desc, device, flags); };
  if (scope.nested() || green == nullptr || !session::Ready()) return create();
  CUcontext primary = nullptr;
  const CUresult held = RetainPrimary(scope, &primary, device);
  if (held != CUDA_SUCCESS) return held;
  const CUresult result = CreateMeasured(scope, green, device, primary, create);
  ReleasePrimary(scope, device);
  return result;
}

CUresult cuGreenCtxDestroy(CUgreenCtx green) {
  const HookScope scope;
  const auto destroy = [&] { return scope.real().cuGreenCtxDestroy(green); };
  Charge own;
  if (scope.nested() || !session::Ready() || !ContextLedger().Take(KeyOf(green), own)) {
    return destroy();
  }
  const auto device = static_cast<CUdevice>(own.references);
  const auto primary_ends = [&](CUresult answer) {
    return answer == CUDA_SUCCESS && !PrimaryIsActive(device);
  };
  CUcontext const primary = PrimaryOf(device);
  contexts::ForgetAll();
  const CUresult result =
      primary == nullptr ? destroy() : EndContext(primary, destroy, primary_ends);
  Charge unused;
  if (result == CUDA_SUCCESS) {
    ForgetGreen(reinterpret_cast<CUcontext>(own.owner));
    Release(own);
  } else {
    ContextLedger().Insert(KeyOf(green), own, unused);
  }
  return result;
}
