#pragma once

#include <cstdint>

#include "interceptor/region/grant.h"

namespace tessera {

/// What holds a container's launches on one GPU back, as it was at one moment.
struct Law {
  /// The share that the container keeps by itself (region/pace.h), 1 to 99; 0: none.
  std::uint32_t percent = 0;
  /// The agent says who runs when.
  bool arbitrated = false;
  std::uint64_t open_until_ns = region::kOpenForAll;
  std::uint64_t likely_open_ns = 0;  ///< a hint for those who wait
  /// Of what is counted as use so much is work of the GPU, as the agent has measured it.
  std::uint32_t work_permille = region::kAllWork;

  /// Nothing does.
  bool IsFree() const { return percent == 0 && open_until_ns == region::kOpenForAll; }
  bool IsOpen(std::uint64_t now_ns) const { return now_ns < open_until_ns; }
  /// Open for a window, or closed.
  bool HasEnd() const { return open_until_ns < region::kOpenInRounds; }
};

}  // namespace tessera
