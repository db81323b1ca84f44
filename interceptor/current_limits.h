#pragma once

#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "interceptor/limits.h"
#include "interceptor/region/layout.h"

/// What the limits are now: they come from a file that may change while the process runs, or from
/// the environment. Every function may be called by any thread, those that say so apart.
namespace tessera::current_limits {

namespace numbers {
/// What every allocation and query looks at, in one cache line for the first GPUs.
struct alignas(64) Often {
  std::atomic<time_t> looked_at = 0;    ///< the second of the last look at the file
  std::atomic<int> watchers = 0;        ///< threads that look at it themselves
  std::atomic<bool> resizable = false;  ///< there is a file to follow
  /// In bytes.
  struct Limit {
    std::atomic<std::uint64_t> memory = 0;
    std::atomic<std::uint64_t> host = 0;
  };
  Limit limits[region::kMaxDevices];
};
[[gnu::visibility("hidden")]] extern constinit Often often;
/// Calls of one thread that did not ask for the time, modulo 256.
[[gnu::visibility("hidden")]] extern constinit thread_local std::uint8_t unasked;
}  // namespace numbers

/// Reads them for the first time; the problem if there are none. One thread, before all else.
const char* Load();
/// As they were then: which GPUs in which order, and the policy, stay for a process's life.
const Limits& AtStart();

/// Looks at the file. True if the numbers have changed since: `told` has them all. A text that is
/// no good, or speaks of other GPUs, changes nothing. One thread at a time.
[[gnu::cold]] bool Reload(Limits& told);

/// In bytes; `host`: of host memory in place of the device's, 0: none.
inline std::uint64_t MemoryOf(std::size_t device) {
  return numbers::often.limits[device].memory.load(std::memory_order_relaxed);
}
inline std::uint64_t HostOf(std::size_t device) {
  return numbers::often.limits[device].host.load(std::memory_order_relaxed);
}
std::uint32_t CoresOf(std::size_t device);

inline bool MayChange() { return numbers::often.resizable.load(std::memory_order_relaxed); }
/// Nobody has looked at the file in this second: true for one caller then.
[[gnu::hot]] inline bool IsSecondOver() {
  numbers::Often& often = numbers::often;
  if (!often.resizable.load(std::memory_order_relaxed)) return false;
  const time_t now = time(nullptr);
  if (often.looked_at.load(std::memory_order_relaxed) == now) return false;
  return often.looked_at.exchange(now, std::memory_order_relaxed) != now;
}
/// Nor will anybody. A thread that watches may be held up itself, so now and then it is asked all
/// the same.
[[gnu::hot]] inline bool IsLookDue() {
  const bool watched = numbers::often.watchers.load(std::memory_order_relaxed) != 0;
  return (!watched || ++numbers::unasked == 0) && IsSecondOver();
}

/// While it lives, of a thread's allocations one of 256 asks what time it is. Its thread asks
/// IsSecondOver itself, and looks: within a second after the watch began, and right after it has
/// ended.
class Watch {
 public:
  Watch() { numbers::often.watchers.fetch_add(1, std::memory_order_relaxed); }
  ~Watch() { numbers::often.watchers.fetch_sub(1, std::memory_order_relaxed); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

/// In a forked child: nobody watches.
void ForgetAfterFork();

}  // namespace tessera::current_limits
