#pragma once

#include <cstdint>

namespace tessera::extender {

/// What a preemption weighs a bound pod by.
struct Importance {
  std::int32_t priority = 0;
  std::int64_t started = 0;  ///< seconds since 1970: when its kubelet saw it, else when it was made
  bool terminating = false;

  bool operator==(const Importance&) const = default;
};

}  // namespace tessera::extender
