#include "interceptor/launches.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/lane.h"
#include "interceptor/session.h"

namespace tessera {
namespace {

constexpr int kNotAsked = -2;
constexpr int kNone = -1;
constinit thread_local int own_index = kNotAsked;

/// Who has which word: serial << 32 | thread id, 0 nobody. The serial tells a taker from one who
/// took before him and had the same thread id.
constinit std::atomic<std::uint64_t> takers[region::kCountingThreads] = {};

std::uint32_t ThreadOf(std::uint64_t taker) { return static_cast<std::uint32_t>(taker); }

bool HasEnded(std::uint32_t thread) {
  return syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH;
}

/// Threads give nothing back when they end: that would need a destructor of the thread. So it is
/// looked, once for each thread that launches, whose word is free by now.
int TakeWord() {
  const auto self = static_cast<std::uint32_t>(syscall(SYS_gettid));
  for (std::size_t i = 0; i < region::kCountingThreads; ++i) {
    std::uint64_t taker = takers[i].load();
    const std::uint32_t thread = ThreadOf(taker);
    if (taker != 0 && thread != self && !HasEnded(thread)) continue;
    const std::uint64_t mine = ((taker >> 32) + 1) << 32 | self;
    if (takers[i].compare_exchange_strong(taker, mine)) return static_cast<int>(i);
  }
  return kNone;
}

}  // namespace

namespace launches {

session::DeviceIndex Device() {
  if (!session::Ready()) return session::kNoDevice;
  // With one GPU there is nothing to ask.
  return session::DeviceCount() == 1 ? 0 : CurrentPlace().device;
}

void Count(session::DeviceIndex device) {
  if (own_index == kNotAsked) own_index = TakeWord();
  if (own_index == kNone) return session::CountLaunch(device);
  region::Word& word = session::ThreadLaunches(device, static_cast<std::size_t>(own_index));
  AddOwn(word);
  if (session::DeviceCount() == 1 && DriverIsNext()) lane.count = &word;
}

}  // namespace launches

void ForgetLaunchesAfterFork() {
  lane.count = nullptr;
  own_index = kNotAsked;
  for (auto& taker : takers) taker.store(0, std::memory_order_relaxed);
}

}  // namespace tessera
