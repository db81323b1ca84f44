#pragma once

#include <atomic>
#include <cstdint>

#include "common/abi/cuda.h"
#include "interceptor/lane.h"
#include "interceptor/session.h"

/// Lets launches through, as many as the pacer allows (gate_thread.cc). A thread takes launches in
/// leases; a lease is void as soon as the gate has another epoch.
namespace tessera::gate {

/// Of the container's first GPU; launches in containers with several take the long way.
[[gnu::visibility("hidden")]] extern constinit std::atomic<std::uint32_t> first_epoch;

/// One launch on the container's only GPU, by a lease that the thread has. False: Enter decides.
inline bool Pass() {
  Lease& mine = lane.lease;
  if (mine.epoch != first_epoch.load(std::memory_order_relaxed) || mine.left <= 0) return false;
  --mine.left;
  return true;
}

/// One launch on `device` the long way: waits until it may go, holding nothing, unless `stream` is
/// being captured. Returns whether Leave is to be called once the driver has it. May change errno.
/// REQUIRES: session::Ready(), device != kNoDevice.
bool Enter(session::DeviceIndex device, CUstream stream);
void Leave(session::DeviceIndex device);

/// Every thread's next launch takes the long way.
void EndLeases();
/// This thread's does if another context is current by now.
void EndLeaseOfOtherContext();

}  // namespace tessera::gate
