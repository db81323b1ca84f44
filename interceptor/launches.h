#pragma once

#include "interceptor/region/layout.h"
#include "interceptor/session.h"

/// Counting launches, for the agent's metric, at the price of a plain add: a thread that launches
/// has a word of the region for itself, as long as there are any. The sum is exact at every moment,
/// also of a process that is killed.
namespace tessera::launches {

/// REQUIRES: the calling thread is the only one that writes `word`.
inline void AddOwn(region::Word& word) {
  word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

/// Which device a launch of this thread goes to; kNoDevice if none that has limits. Any thread.
session::DeviceIndex Device();

/// One launch, counted the long way, which takes a word for the thread if it can have one. May
/// change errno. Any thread. REQUIRES: device is what Device() said, and not kNoDevice.
void Count(session::DeviceIndex device);

}  // namespace tessera::launches
