#include "sim/probe/search.h"

#include <gtest/gtest.h>

namespace tessera::probe {
namespace {

constexpr std::size_t kMib = std::size_t{1} << 20;

/// Gives memory out of a fixed amount.
class Pool {
 public:
  explicit Pool(std::size_t bytes) : free_(bytes) {}
  Allocate allocate() {
    return [this](std::size_t bytes) -> Allocation {
      ++calls;
      if (bytes > free_) return {Outcome::kOutOfMemory, 0, 0};
      free_ -= bytes;
      return {Outcome::kAllocated, ++next_, 0};
    };
  }
  int calls = 0;

 private:
  std::size_t free_;
  std::uint64_t next_ = 0;
};

TEST(Fill, FindsTheExactPointWhateverTheChunk) {
  struct Case {
    std::size_t pool, chunk, smallest, want;
  };
  for (const Case& c : {
           Case{3000 * kMib, 256 * kMib, kMib, 3000 * kMib},
           Case{3000 * kMib, kMib, kMib, 3000 * kMib},
           Case{3000 * kMib, 4096 * kMib, kMib, 3000 * kMib},
           Case{3000 * kMib, 300 * kMib, kMib, 3000 * kMib},
           Case{kMib / 2, 256 * kMib, kMib, 0},
           Case{kMib + 7, 256 * kMib, kMib, kMib},
           Case{kMib + 7, 256 * kMib, 1, kMib + 7},
           Case{0, kMib, kMib, 0},
       }) {
    SCOPED_TRACE(c.pool);
    SCOPED_TRACE(c.chunk);
    Pool pool(c.pool);
    const FillResult result = Fill(pool.allocate(), c.chunk, c.smallest);
    EXPECT_EQ(result.held_bytes, c.want);
    EXPECT_EQ(result.other_error, 0);
    std::uint64_t sum = 0;
    for (const Block& block : result.blocks) sum += block.bytes;
    EXPECT_EQ(sum, result.held_bytes);
    EXPECT_EQ(pool.calls, static_cast<int>(result.blocks.size()) + result.refusals);
    EXPECT_GE(result.refusals, 1) << "it must have been refused in the end";
  }
}

TEST(Fill, AnotherErrorEndsTheSearch) {
  int calls = 0;
  const auto result = Fill(
      [&](std::size_t) -> Allocation {
        return ++calls < 3 ? Allocation{Outcome::kAllocated, 1, 0}
                           : Allocation{Outcome::kOtherError, 0, 700};
      },
      kMib, kMib);
  EXPECT_EQ(result.other_error, 700);
  EXPECT_EQ(result.blocks.size(), 2u);
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace tessera::probe
