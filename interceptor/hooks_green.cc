#include "common/abi/cuda_green.h"
#include "interceptor/context_end.h"
#include "interceptor/driver.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

// A green context is a part of its device's multiprocessors within the primary context, which it
// holds. The primary context is charged by its own rule; what the part takes beside it depends on
// its size, so each is measured while it is made, and refused if it does not fit. What is allocated
// while one is current belongs to the primary context. So does what the driver does not give back
// when a green context is destroyed, which is measured too.

namespace tessera {
namespace {

/// Pools of other threads may have grown or shrunk unseen.
DeviceBytes Look(session::DeviceIndex device) {
  SettlePools();
  return AskNvml(device);
}

/// REQUIRES: the device's primary context is held.
template <typename Create>
CUresult CreateMeasured(const HookScope& scope, CUgreenCtx* green, CUdevice ordinal,
                        CUcontext primary, const Create& create) {
  const session::DeviceIndex device = DevicePlace(ordinal).device;
  const region::Lock lock(MakingOf(ordinal));
  const DeviceBytes before = Look(device);
  const CUresult result = create();
  if (result != CUDA_SUCCESS || device == session::kNoDevice) return result;
  const auto undo = [&] { return scope.real().cuGreenCtxDestroy(*green); };
  const std::uint64_t bytes = Grown(before, Look(device));
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

/// `own`, its charge, has left the ledger. `primary` is null where there was none. REQUIRES:
/// MakingOf the device is held.
template <typename Destroy>
CUresult DestroyMeasured(const Charge& own, CUdevice ordinal, CUcontext primary,
                         const Destroy& destroy) {
  const auto device = static_cast<session::DeviceIndex>(own.account);
  bool primary_ends = primary == nullptr;
  const DeviceBytes before = Look(device);
  const auto ends = [&](CUresult answer) {
    primary_ends = answer == CUDA_SUCCESS && !PrimaryIsActive(ordinal);
    return primary_ends;
  };
  const CUresult result = primary_ends ? destroy() : EndContext(primary, destroy, ends);
  if (result != CUDA_SUCCESS) return result;
  ForgetGreen(reinterpret_cast<CUcontext>(own.owner));
  const std::uint64_t left = primary_ends ? 0 : LeftOf(own.bytes, before, Look(device));
  session::Release(own.account, own.bytes - left);
  KeepForPrimary(primary, device, left);
  return result;
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
  if (scope.nested() || !session::Ready() || !ContextLedger().Find(KeyOf(green), own)) {
    return destroy();
  }
  const auto ordinal = static_cast<CUdevice>(own.references);
  CUcontext const primary = PrimaryOf(ordinal);
  contexts::ForgetAll();
  const region::Lock lock(MakingOf(ordinal));
  if (!ContextLedger().Take(KeyOf(green), own)) return destroy();  // by another thread meanwhile
  const CUresult result = DestroyMeasured(own, ordinal, primary, destroy);
  Charge unused;
  if (result != CUDA_SUCCESS) ContextLedger().Insert(KeyOf(green), own, unused);
  return result;
}
