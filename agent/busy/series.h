#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "agent/arbiter/busy_sample.h"

namespace tessera::agent {

/// One moment on two clocks.
struct Moment {
  std::uint64_t real_us = 0;       ///< CLOCK_REALTIME
  std::uint64_t monotonic_ns = 0;  ///< CLOCK_MONOTONIC
};

/// What NVML says: how much of the time since the sample before the GPU was at work.
struct UtilizationSample {
  std::uint64_t real_us = 0;
  unsigned int percent = 0;  ///< truncated
};

/// NVML's samples of one GPU as stretches of monotonic time. Nothing that NVML says is believed
/// without a look. Pure. Thread-compatible.
class BusySeries {
 public:
  /// Two samples that are further apart are not neighbours.
  static constexpr std::uint64_t kLongestNs = 1'000'000'000;

  /// Newer samples than this are wanted.
  std::uint64_t AskSince(std::uint64_t now_real_us) const;

  /// The stretches that `samples`, in their order, add. A stretch begins at the sample before it,
  /// so the first of a series is none. Samples are dropped that go back, lie in the future or say
  /// more than 100 percent. `now` is after NVML answered. The wall clock may be set at any time.
  std::vector<BusySample> Take(std::span<const UtilizationSample> samples, const Moment& now);

  /// How busy the GPU was, 0 to 1, in the stretches that ended within the last second. Nothing
  /// where there is none.
  std::optional<double> LastSecond(std::uint64_t now_ns) const;

 private:
  std::uint64_t last_real_us_ = 0;
  std::uint64_t last_ns_ = 0;  ///< the same sample's; 0: none yet
  std::deque<BusySample> recent_;
};

}  // namespace tessera::agent
