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

/// The least that a green context of a device was seen to take, and 1; 0: none was. A device's is
/// guarded by MakingOf it.
constinit std::uint64_t least_seen[region::kMaxDevices] = {};

/// Each that is made and does not fit leaves something behind: what cannot fit is not made.
/// REQUIRES: MakingOf the device is held.
std::uint64_t LeastOf(session::DeviceIndex device) {
  const std::uint64_t seen = least_seen[device];
  return seen == 0 ? 0 : seen - 1;
}
void Learn(session::DeviceIndex device, std::uint64_t bytes) {
  std::uint64_t& seen = least_seen[device];
  if (seen == 0 || bytes + 1 < seen) seen = bytes + 1;
}

/// `charged` bytes become `bytes`. False, and nothing is changed, if they do not fit.
bool Recharge(session::DeviceIndex device, std::uint64_t charged, std::uint64_t bytes) {
  if (bytes > charged) return session::TryReserve(device, bytes - charged);
  session::Release(device, charged - bytes);
  return true;
}

/// Ends one of `bytes` that the program does not get; what the driver keeps of it is charged
/// whatever the limit.
template <typename Destroy>
void EndAgain(session::DeviceIndex device, std::uint64_t bytes, CUcontext primary,
              const Destroy& destroy) {
  const DeviceBytes before = Look(device);
  destroy();
  const std::uint64_t left = LeftOf(bytes, before, Look(device));
  session::ChargeAnyway(device, left);
  KeepForPrimary(primary, device, left);
}

/// It is there and charged. If it cannot be remembered, it is ended again.
template <typename Undo>
CUresult Remember(CUgreenCtx green, CUdevice ordinal, CUcontext primary, const Charge& sum,
                  const Undo& undo) {
  CUcontext shown = nullptr;
  Real().cuCtxFromGreenCtx(&shown, green);
  if (!RememberGreen(shown, ordinal, primary)) {
    undo();
    Release(sum);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  Charge charge = sum;
  charge.references = static_cast<std::uint32_t>(ordinal);
  charge.owner = KeyOf(shown);
  const CUresult settled = Settle(ContextLedger(), KeyOf(green), charge, undo);
  if (settled != CUDA_SUCCESS) ForgetGreen(shown);
  return settled;
}

/// REQUIRES: the device's primary context is held.
template <typename Create>
CUresult CreateMeasured(const HookScope& scope, CUgreenCtx* green, CUdevice ordinal,
                        CUcontext primary, const Create& create) {
  const session::DeviceIndex device = DevicePlace(ordinal).device;
  if (device == session::kNoDevice) return create();
  const region::Lock lock(MakingOf(ordinal));
  const std::uint64_t least = LeastOf(device);
  if (!session::TryReserve(device, least)) return CUDA_ERROR_OUT_OF_MEMORY;
  const DeviceBytes before = Look(device);
  const CUresult result = create();
  if (result != CUDA_SUCCESS) {
    session::Release(device, least);
    return result;
  }
  const std::uint64_t bytes = Grown(before, Look(device));
  Learn(device, bytes);
  const auto undo = [&] {
    EndAgain(device, bytes, primary, [&] { scope.real().cuGreenCtxDestroy(*green); });
  };
  if (!Recharge(device, least, bytes)) {
    undo();
    session::Release(device, least);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const Charge charge = {.bytes = bytes, .account = static_cast<std::uint16_t>(device)};
  return Remember(*green, ordinal, primary, charge, undo);
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
