#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "common/abi/cuda_more.h"
#include "interceptor/device_bytes.h"
#include "interceptor/ledger.h"
#include "interceptor/scope.h"
#include "interceptor/session.h"

/// What the driver takes for itself: contexts.
namespace tessera {

/// Opens NVML for the question.
DeviceBytes AskNvml(session::DeviceIndex device);

/// What contexts are charged with, by handle, with a reference for each cuCtxAttach; what their
/// limits have grown by, by LimitKey; what green contexts have left with them, by LeftKey; green
/// contexts, by their handle as such.
Ledger& ContextLedger();
/// Handles are multiples of four.
inline std::uint64_t LimitKey(CUcontext context) {
  return reinterpret_cast<std::uint64_t>(context) | 1;
}
inline std::uint64_t LeftKey(CUcontext context) {
  return reinterpret_cast<std::uint64_t>(context) | 2;
}

/// All that a context is charged with for itself.
struct ContextCharges {
  struct Part {
    bool charged = false;
    Charge charge;
  };
  Part itself;
  Part limits;
  Part left;  ///< by green contexts
};
ContextCharges TakeContext(CUcontext context);
void PutBackContext(CUcontext context, const ContextCharges& charges);
void ReleaseContext(const ContextCharges& charges);

/// A green context has gone and `bytes` of its charge stay: they are returned when its primary
/// context ends. REQUIRES: MakingOf its device is held.
void KeepForPrimary(CUcontext primary, session::DeviceIndex device, std::uint64_t bytes);

/// A green context as an ordinary one, and the primary context that everything belongs to while it
/// is current. False: no memory to remember it.
bool RememberGreen(CUcontext shown, CUdevice ordinal, CUcontext home);
void ForgetGreen(CUcontext shown);
namespace greens_known {
[[gnu::visibility("hidden")]] extern constinit std::atomic<unsigned int> count;
[[gnu::cold]] CUcontext HomeOf(CUcontext context);
}  // namespace greens_known
/// The context that memory belongs to while this one is current. Any context; cheap.
inline CUcontext HomeOf(CUcontext context) {
  const bool any = greens_known::count.load(std::memory_order_relaxed) != 0;
  return any ? greens_known::HomeOf(context) : context;
}
/// True if it is a green one: its device.
bool IsGreen(CUcontext context, CUdevice& ordinal);

/// One context of a device is made at a time, so that it is the one that is measured; so are green
/// contexts destroyed and primary contexts ended.
pthread_mutex_t& MakingOf(CUdevice device);
/// cuDevicePrimaryCtxRetain, charged; and the release that undoes it.
CUresult RetainPrimary(const HookScope& scope, CUcontext* context, CUdevice device);
CUresult ReleasePrimary(const HookScope& scope, CUdevice device);

void ForgetContextsAfterFork();
void ForgetContextCreationAfterFork();
void ForgetLimitSettingAfterFork();

}  // namespace tessera
