#pragma once

#include <pthread.h>

#include <cstdint>

#include "common/abi/cuda_more.h"
#include "interceptor/ledger.h"
#include "interceptor/scope.h"
#include "interceptor/session.h"

/// What the driver takes for itself: contexts.
namespace tessera {

/// Bytes that this process has on a device as NVML tells: its own figure, or where NVML does not
/// list it, those of the whole device. 0 without NVML. Opens NVML for the question.
struct DeviceBytes {
  std::uint64_t bytes = 0;
  bool of_process = false;
};
DeviceBytes AskNvml(session::DeviceIndex device);

/// What contexts are charged with, by handle, with a reference for each cuCtxAttach; what their
/// limits have grown by, by LimitKey; green contexts, by their handle as such.
Ledger& ContextLedger();
/// Handles are even.
inline std::uint64_t LimitKey(CUcontext context) {
  return reinterpret_cast<std::uint64_t>(context) | 1;
}
/// Takes both of a context. False if neither is charged.
bool TakeContext(CUcontext context, Charge& context_itself, Charge& its_limits);

/// A green context as an ordinary one, and the primary context that everything belongs to while it
/// is current. False: no memory to remember it.
bool RememberGreen(CUcontext shown, CUdevice ordinal, CUcontext home);
void ForgetGreen(CUcontext shown);
/// The context that memory belongs to while this one is current. Any context; cheap.
CUcontext HomeOf(CUcontext context);
/// True if it is a green one: its device.
bool IsGreen(CUcontext context, CUdevice& ordinal);

/// What was taken between two questions. 0 if that cannot be a context.
std::uint64_t Grown(const DeviceBytes& before, const DeviceBytes& after);
/// One context of a device is made at a time, so that it is the one that is measured.
pthread_mutex_t& MakingOf(CUdevice device);
/// cuDevicePrimaryCtxRetain, charged; and the release that undoes it.
CUresult RetainPrimary(const HookScope& scope, CUcontext* context, CUdevice device);
CUresult ReleasePrimary(const HookScope& scope, CUdevice device);

void ForgetContextsAfterFork();
void ForgetContextCreationAfterFork();
void ForgetLimitSettingAfterFork();

}  // namespace tessera
