// How much of the time a GPU works, by asking at random moments.
#include "interceptor/busy_share.h"

#include <random>

#include <gtest/gtest.h>

namespace tessera {
namespace {

constexpr std::uint64_t kUs = 1'000;
constexpr double kMeanWaitUs = 150;

/// A GPU that works `busy_us` of every `period_us` and takes 4 us to begin, asked at random; an
/// answer takes `at_once_us` where nothing runs, and up to 1 us more. Returns the work that was
/// found in the waits, as part of them.
double Ask(BusyShare& share, double busy_us, double period_us, int count = 20'000,
           double at_once_us = 0.5) {
  std::mt19937 random(1);
  std::exponential_distribution<double> nap(1 / kMeanWaitUs);
  std::uniform_real_distribution<double> phase(0, period_us), late(0, 1);
  double waited = 0, worked = 0;
  for (int i = 0; i < count; ++i) {
    const double at = phase(random), wait = nap(random);
    const double left = busy_us != 0 && at < busy_us + 4 ? busy_us + 4 - at : 0;
    const auto work = share.Take(
        {.waited_ns = static_cast<std::uint64_t>(wait * 1000),
         .mean_wait_ns = static_cast<std::uint64_t>(kMeanWaitUs * 1000),
         .took_ns = static_cast<std::uint64_t>((left + at_once_us + late(random)) * 1000)});
    waited += wait;
    worked += static_cast<double>(work.before_ns) / 1000;
  }
  return worked / waited;
}

TEST(BusyShare, FindsHowMuchOfTheTimeThereWasWork) {
  BusyShare share;
  EXPECT_NEAR(Ask(share, 10, 25), 0.4, 0.03);
  EXPECT_NEAR(Ask(share, 5, 15), 0.333, 0.03);
  EXPECT_NEAR(Ask(share, 100, 300), 0.333, 0.02);
  EXPECT_NEAR(Ask(share, 900, 1000), 0.9, 0.02);
  EXPECT_NEAR(Ask(share, 0, 1000), 0, 0.01);
  EXPECT_NEAR(Ask(share, 1000, 1000), 1, 0.02);
}

TEST(BusyShare, ADriverThatIsSlowToSayNothingIsTakenForBusy) {
  BusyShare share;
  EXPECT_GT(Ask(share, 0, 1000, 2000, 40), 0.95);
}

TEST(BusyShare, AWaitThatWasChosenCountsAsLongAsItWas) {
  BusyShare share;
  const auto busy = share.Take({.waited_ns = 2000 * kUs, .took_ns = 900 * kUs});
  EXPECT_TRUE(busy.goes_on);
  EXPECT_EQ(busy.before_ns, 2000 * kUs);
  const auto idle = share.Take({.waited_ns = 2000 * kUs, .took_ns = kUs / 2});
  EXPECT_FALSE(idle.goes_on);
  EXPECT_GT(idle.before_ns, 1000 * kUs) << "there was work lately";
}

TEST(BusyShare, AQuestionThatFindsWorkStandsForAMeanWaitAndOthersForNothing) {
  BusyShare share;
  for (int i = 0; i < 3; ++i) share.Take({.mean_wait_ns = 150 * kUs, .took_ns = kUs / 2});
  EXPECT_EQ(
      share.Take({.waited_ns = 400 * kUs, .mean_wait_ns = 150 * kUs, .took_ns = kUs / 2}).before_ns,
      0U);
  const auto found =
      share.Take({.waited_ns = kUs, .mean_wait_ns = 150 * kUs, .took_ns = 5000 * kUs});
  EXPECT_TRUE(found.goes_on);
  EXPECT_NEAR(static_cast<double>(found.before_ns), 150e3, 10e3);
}

}  // namespace
}  // namespace tessera
