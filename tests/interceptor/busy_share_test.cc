// How much of the time a GPU works, by asking at random moments.
#include "interceptor/busy_share.h"

#include <random>

#include <gtest/gtest.h>

namespace tessera {
namespace {

constexpr std::uint64_t kUs = 1'000;

/// Asks a GPU that works `busy_us` of every `period_us`, `count` times at random, and takes 4 us to
/// begin; an answer takes `at_once_us` where nothing runs, and up to `jitter_us` more.
std::uint32_t Ask(BusyShare& share, double busy_us, double period_us, int count = 2000,
                  double at_once_us = 0.5, double jitter_us = 1) {
  std::mt19937 random(1);
  std::exponential_distribution<double> nap(1 / 150.0);
  std::uniform_real_distribution<double> phase(0, period_us), late(0, jitter_us);
  for (int i = 0; i < count; ++i) {
    const double at = phase(random);
    const double left = busy_us != 0 && at < busy_us + 4 ? busy_us + 4 - at : 0;
    share.Take(static_cast<std::uint64_t>(nap(random) * 1000),
               static_cast<std::uint64_t>((left + at_once_us + late(random)) * 1000));
  }
  return share.permille();
}

TEST(BusyShare, IsAllUntilSomethingElseIsSeen) { EXPECT_EQ(BusyShare().permille(), 1000U); }

TEST(BusyShare, FollowsWhatIsSeen) {
  BusyShare share;
  EXPECT_NEAR(Ask(share, 10, 25), 400, 80);
  EXPECT_NEAR(Ask(share, 5, 15), 333, 80);
  EXPECT_NEAR(Ask(share, 100, 300), 333, 80);
  EXPECT_NEAR(Ask(share, 900, 1000), 900, 80);
  EXPECT_NEAR(Ask(share, 0, 1000), 0, 1);
  EXPECT_NEAR(Ask(share, 1000, 1000), 1000, 25);
}

TEST(BusyShare, ADriverThatIsSlowToSayNothingIsTakenForBusy) {
  BusyShare share;
  EXPECT_GT(Ask(share, 0, 1000, 2000, 40), 950U);
}

TEST(BusyShare, ALongWaitCountsMoreThanAShortOne) {
  BusyShare often, seldom;
  for (int i = 0; i < 10; ++i) often.Take(10 * kUs, 3 * kUs);
  seldom.Take(10 * kUs, 3 * kUs);
  for (int i = 0; i < 10; ++i) seldom.Take(1000 * kUs, 3 * kUs);
  EXPECT_LT(seldom.permille(), often.permille());
}

}  // namespace
}  // namespace tessera
