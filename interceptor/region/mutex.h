#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace tessera::region {

/// A lock between threads of one process, for a few dozen instructions that call nobody. A
/// pthread_mutex_t does the same in other cache lines, of code and of data, than those that its
/// holder touches anyway. Constant-initialised.
class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() {
    std::uint32_t free = kFree;
    if (!word_.compare_exchange_strong(free, kHeld, std::memory_order_acquire,
                                       std::memory_order_relaxed)) [[unlikely]] {
      Wait(word_);
    }
  }
  void Unlock() {
    if (word_.exchange(kFree, std::memory_order_release) == kWaitedFor) [[unlikely]]
      Wake(word_);
  }
  /// In a forked child, whoever held it in the parent.
  void ForgetAfterFork() { word_.store(kFree, std::memory_order_relaxed); }

 private:
  enum : std::uint32_t { kFree, kHeld, kWaitedFor };
  using State = std::atomic<std::uint32_t>;

  /// Whoever has waited leaves it as waited for: he does not know of others.
  [[gnu::cold, gnu::noinline]] static void Wait(State& word) {
    while (word.exchange(kWaitedFor, std::memory_order_acquire) != kFree) {
      syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, kWaitedFor, nullptr, nullptr, 0);
    }
  }
  [[gnu::cold, gnu::noinline]] static void Wake(State& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  State word_ = kFree;
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
