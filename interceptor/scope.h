#pragma once

#include <errno.h>

#include "interceptor/driver.h"

namespace tessera {

/// First line of every hook body: keeps errno for the caller, and tells a call that comes back to
/// us while one of ours is served: the driver's own, or another preloaded tool's that found us by
/// dlsym. It is charged already, and goes to the driver itself, or it would go round for ever.
class HookScope {
 public:
  HookScope() : errno_(errno), nested_(depth_++ > 0) {}
  ~HookScope() {
    --depth_;
    errno = errno_;
  }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

  bool nested() const { return nested_; }
  const Driver& real() const { return nested_ ? DriverItself() : Real(); }

 private:
  static inline constinit thread_local int depth_ = 0;
  const int errno_;
  const bool nested_;
};

}  // namespace tessera
