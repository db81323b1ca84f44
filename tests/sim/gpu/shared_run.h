#pragma once

#include <algorithm>
#include <cstdint>

#include <gtest/gtest.h>

namespace tessera::sim {

/// When the kernels of a process began and ended: CLOCK_MONOTONIC.
struct Ran {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  double Milliseconds() const { return static_cast<double>(end_ns - begin_ns) / 1e6; }
};

/// Two share a device fairly: while both run, each is served at `rate` of its speed. They begin
/// when the machine lets them, so what they should take follows from when they did.
inline void ExpectShared(const Ran& one, double one_ms, const Ran& two, double two_ms, double rate,
                         double tolerance_ms = 60) {
  const bool one_first = one.begin_ns <= two.begin_ns;
  const Ran& early = one_first ? one : two;
  const Ran& late = one_first ? two : one;
  const double early_ms = one_first ? one_ms : two_ms;
  const double late_ms = one_first ? two_ms : one_ms;
  const double ahead_ms = static_cast<double>(late.begin_ns - early.begin_ns) / 1e6;
  const double left_ms = std::max(0.0, early_ms - ahead_ms);  // when both run
  EXPECT_GT(left_ms, 0) << "the machine let them run one after the other: nothing was shared";
  const double both_ms = std::min(left_ms, late_ms) / rate;
  EXPECT_NEAR(early.Milliseconds(),
              std::min(early_ms, ahead_ms) + both_ms + std::max(0.0, left_ms - late_ms),
              tolerance_ms);
  EXPECT_NEAR(late.Milliseconds(), both_ms + std::max(0.0, late_ms - left_ms), tolerance_ms);
}

}  // namespace tessera::sim
