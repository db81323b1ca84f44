#pragma once

#include <time.h>

#include <cstdint>

namespace tessera {

/// CLOCK_MONOTONIC in nanoseconds: for what processes of one machine tell each other, and where
/// there is nobody to inject a Clock.
inline std::uint64_t NowNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace tessera
