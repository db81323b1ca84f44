#include "sim/gpu/utilization.h"

#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace tessera::sim::gpu {
namespace {

constexpr std::uint64_t kStart = 1000 * kUtilizationNs;
constexpr std::uint64_t kMs = 1'000'000;

class Utilization : public ::testing::Test {
 protected:
  /// Of the `n`th stretch after kStart.
  unsigned int Percent(std::uint64_t n) const {
    const std::uint64_t end = kStart + (n + 1) * kUtilizationNs;
    const auto samples = UtilizationSamples(*file_, end + kSettleNs);
    EXPECT_EQ(samples.back().end_ns, end);
    return samples.back().percent;
  }

  const std::unique_ptr<DeviceFile> file_{new DeviceFile{}};
};

TEST_F(Utilization, IsTruncatedAndSumsOverAllWhoUseTheGpu) {
  AddUtilization(*file_, kStart, kStart + 100 * kMs, 50 * kMs);
  EXPECT_EQ(Percent(0), 25U);
  AddUtilization(*file_, kStart + 50 * kMs, kStart + 100 * kMs, 49 * kMs + 900'000);
  EXPECT_EQ(Percent(0), 49U) << "49.95";
  AddUtilization(*file_, kStart, kStart + 200 * kMs, 200 * kMs);
  EXPECT_EQ(Percent(0), 100U) << "never more";
}

TEST_F(Utilization, TimeFallsIntoTheStretchesThatItRanIn) {
  AddUtilization(*file_, kStart + 150 * kMs, kStart + 650 * kMs, 250 * kMs);  // half of 500 ms
  const unsigned int want[] = {12, 50, 50, 12, 0};
  for (std::uint64_t n = 0; n < 5; ++n) EXPECT_EQ(Percent(n), want[n]) << n;
}

TEST_F(Utilization, AStretchIsToldWhenItIsOverAndForgottenAfterTwentySeconds) {
  AddUtilization(*file_, kStart, kStart + kUtilizationNs, kUtilizationNs);
  const std::uint64_t end = kStart + kUtilizationNs;
  EXPECT_EQ(UtilizationSamples(*file_, end + kSettleNs - 1).back().end_ns, kStart);
  const auto last = UtilizationSamples(*file_, end + kSettleNs + 99 * kUtilizationNs);
  EXPECT_EQ(last.size(), kUtilizationSamples);
  EXPECT_EQ(last.front().end_ns, end);
  EXPECT_EQ(last.front().percent, 100U);
  EXPECT_EQ(last.back().percent, 0U);
  for (const auto& sample : UtilizationSamples(*file_, end + kSettleNs + 128 * kUtilizationNs)) {
    EXPECT_EQ(sample.percent, 0U) << "its bucket is another stretch's now";
  }
}

TEST_F(Utilization, TimeThatComesTooLateSpoilsNothing) {
  const std::uint64_t later = kStart + kUtilizationBuckets * kUtilizationNs;
  AddUtilization(*file_, later, later + 100 * kMs, 100 * kMs);
  AddUtilization(*file_, kStart, kStart + 100 * kMs, 100 * kMs);
  EXPECT_EQ(Percent(kUtilizationBuckets), 50U);
  AddUtilization(*file_, later + kMs, later, kMs);
  AddUtilization(*file_, 0, later + 100 * kMs, 0);
  EXPECT_EQ(Percent(kUtilizationBuckets), 50U);
}

TEST_F(Utilization, AMachineThatHasJustStartedHasFewStretches) {
  EXPECT_TRUE(UtilizationSamples(*file_, 0).empty());
  AddUtilization(*file_, 0, kUtilizationNs, kUtilizationNs / 2);
  const auto samples = UtilizationSamples(*file_, kUtilizationNs + kSettleNs);
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_EQ(samples[0].percent, 50U);
}

TEST_F(Utilization, NothingIsLostBetweenThreads) {
  const auto work = [&] {
    for (int i = 0; i < 40'000; ++i) AddUtilization(*file_, kStart, kStart + 1000, 1000);
  };
  {
    const std::jthread one(work);
    const std::jthread other(work);
  }
  EXPECT_EQ(Percent(0), 40U);
}

}  // namespace
}  // namespace tessera::sim::gpu
