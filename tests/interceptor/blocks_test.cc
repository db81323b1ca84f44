#include "interceptor/blocks.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kKiB = 1 << 10;

// The figures of an H200, 256 allocations of a size each, in 2 MiB blocks.
TEST(Blocks, AreWhatTheDeviceGivesUp) {
  struct Case {
    std::uint64_t bytes;
    std::uint64_t want;
  };
  const Case cases[] = {
      {0, 0},
      {4 * kKiB, 4 * kKiB},
      {64 * kKiB, 64 * kKiB},
      {100 * kKiB, 2 * kMiB / 20},
      {256 * kKiB, 256 * kKiB},
      {300 * kKiB, 2 * kMiB / 6},
      {513 * kKiB, 2 * kMiB / 3},
      {700 * kKiB, kMiB},
      {kMiB, kMiB},
      {kMiB + 1, 2 * kMiB},
      {2 * kMiB, 2 * kMiB},
      {2 * kMiB + 1, 4 * kMiB},
      {3 * kMiB, 4 * kMiB},
      {5 * kMiB, 6 * kMiB},
      {7 * kMiB + 1, 8 * kMiB},
      {~std::uint64_t{0}, ~std::uint64_t{0}},
      {~std::uint64_t{0} - kMiB, ~std::uint64_t{0} - kMiB},
  };
  for (const Case& c : cases) EXPECT_EQ(BlockBytes(c.bytes), c.want) << c.bytes;
}

TEST(Blocks, AreNeverLessThanWhatWasAskedFor) {
  std::uint64_t last = 0;
  for (std::uint64_t bytes = 0; bytes < 9 * kMiB; bytes += 4093) {
    EXPECT_GE(BlockBytes(bytes), bytes);
    EXPECT_GE(BlockBytes(bytes), last);
    last = BlockBytes(bytes);
  }
}

}  // namespace
}  // namespace tessera
