#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace tessera::region {

/// A lock between threads of one process, for a few dozen instructions that call nobody. A
/// pthread_mutex_t does the same in other cache lines, of code and of data, than those that its
/// holder touches anyway. Constant-initialised.
///
/// It is left by a plain store, which costs a third of an exchange. The look for waiters may be
/// done before that store is seen, by whoever begins to wait in between, and he is not woken then:
/// so nobody sleeps for longer than kNapNs without having looked again.
class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() {
    if (!TryLock()) [[unlikely]]
      Wait(*this);
  }
  void Unlock() {
    held_.store(0, std::memory_order_release);
    if (waited_for_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      Wake(*this);
  }
  /// In a forked child, whoever held it in the parent.
  void ForgetAfterFork() {
    held_.store(0, std::memory_order_relaxed);
    waited_for_.store(0, std::memory_order_relaxed);
  }

 private:
  static constexpr long kNapNs = 1'000'000;

  bool TryLock() {
    std::uint32_t free = 0;
    return held_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  /// Whoever has waited leaves it as waited for: he does not know of others.
  [[gnu::cold, gnu::noinline]] static void Wait(Mutex& mutex) {
    do {
      mutex.waited_for_.store(1, std::memory_order_relaxed);
      const timespec nap = {0, kNapNs};
      syscall(SYS_futex, &mutex.held_, FUTEX_WAIT_PRIVATE, 1, &nap, nullptr, 0);
    } while (!mutex.TryLock());
    mutex.waited_for_.store(1, std::memory_order_relaxed);
  }
  [[gnu::cold, gnu::noinline]] static void Wake(Mutex& mutex) {
    mutex.waited_for_.store(0, std::memory_order_relaxed);
    syscall(SYS_futex, &mutex.held_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  std::atomic<std::uint32_t> held_ = 0;
  std::atomic<std::uint32_t> waited_for_ = 0;
};

/// Holds one while it lives.
class Hold {
 public:
  explicit Hold(Mutex& mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~Hold() { mutex_.Unlock(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace tessera::region
