#pragma once

#include <errno.h>

#include "interceptor/driver.h"

namespace tessera {

namespace scope_state {
/// Side by side: every hook needs them, and libc is a call away in cache lines of its own.
struct Thread {
  int* errno_at = nullptr;
  int depth = 0;
};
}  // namespace scope_state

/// First line of every hook body: keeps errno for the caller, and tells a call that comes back to
/// us while one of ours is served: the driver's own, or another preloaded tool's that found us by
/// dlsym. It is charged already, and goes to the driver itself, or it would go round for ever.
class HookScope {
 public:
  HookScope() : errno_(Errno()), nested_(thread_.depth++ > 0) {}
  ~HookScope() {
    --thread_.depth;
    *thread_.errno_at = errno_;
  }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

  bool nested() const { return nested_; }
  const Driver& real() const { return nested_ ? DriverItself() : Real(); }

 private:
  static inline constinit thread_local scope_state::Thread thread_;

  static int Errno() {
    if (thread_.errno_at == nullptr) [[unlikely]]
      thread_.errno_at = &errno;
    return *thread_.errno_at;
  }

  const int errno_;
  const bool nested_;
};

}  // namespace tessera
