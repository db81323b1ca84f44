#pragma once

#include <errno.h>

namespace tessera {

/// First line of every hook body: keeps errno for the caller, and tells a call that the driver
/// makes while it serves one of ours, which is charged already.
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

 private:
  static inline constinit thread_local int depth_ = 0;
  const int errno_;
  const bool nested_;
};

}  // namespace tessera
