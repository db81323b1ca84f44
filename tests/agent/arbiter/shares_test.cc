// What containers get of a GPU under the arbiter, in simulated time.
#include <gmock/gmock.h>

#include "tests/agent/arbiter/simulated_gpu.h"

namespace tessera::agent::test {
namespace {

using region::Policy;

constexpr std::uint64_t kStart = kSecond;  // of the simulation's clock
constexpr std::uint64_t kRun = 20 * kSecond;

struct Mix {
  std::vector<int> percents;
  std::vector<std::uint64_t> kernels_ns;  ///< repeated
};

class Shares : public ::testing::TestWithParam<Mix> {};

TEST_P(Shares, AreExactAndTheGpuIsFull) {
  std::vector<Habits> habits;
  for (std::size_t i = 0; i < GetParam().percents.size(); ++i) {
    Habits one;
    one.percent = GetParam().percents[i];
    one.kernel_ns = GetParam().kernels_ns[i % GetParam().kernels_ns.size()];
    habits.push_back(one);
  }
  for (const bool told : {false, true}) {
    SimulatedGpu gpu(habits);
    if (told) gpu.TellBusy();
    gpu.Run(kRun);
    const double total = gpu.Total(kRun);
    EXPECT_GE(total, 97.0) << told;
    for (std::size_t i = 0; i < habits.size(); ++i) {
      EXPECT_NEAR(100 * gpu.Share(i, kRun) / total, habits[i].percent, 1.0) << i << told;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Mixes, Shares,
    ::testing::Values(Mix{{30, 70}, {500 * kUs}}, Mix{{50, 50}, {500 * kUs}},
                      Mix{{10, 20, 70}, {500 * kUs}}, Mix{{25, 25, 25, 25}, {500 * kUs}},
                      Mix{{30, 70}, {50 * kUs}}, Mix{{30, 70}, {5 * kMs}},
                      Mix{{30, 70}, {50 * kMs}}, Mix{{50, 50}, {50 * kMs, 50 * kUs}},
                      Mix{{70, 30}, {50 * kMs, 500 * kUs}},
                      Mix{{10, 20, 70}, {50 * kMs, 50 * kUs, 5 * kMs}},
                      Mix{{25, 25, 25, 25}, {50 * kUs, 500 * kUs, 5 * kMs, 50 * kMs}}));

TEST(Arbiter, AnIdleShareIsUsedByTheOther) {
  SimulatedGpu gpu({{.percent = 30}, {.percent = 70, .to_ns = kStart}});
  gpu.Run(10 * kSecond);
  EXPECT_GE(gpu.Share(0, 10 * kSecond), 97.0);
}

TEST(Arbiter, AShareThatFallsIdleIsUsedByTheOthers) {
  SimulatedGpu gpu({{.percent = 30}, {.percent = 70, .to_ns = kStart + 5 * kSecond}});
  gpu.Run(5 * kSecond);
  const auto before = gpu.containers()[0].used_ns();
  gpu.Run(5 * kSecond);
  EXPECT_GE(gpu.containers()[0].used_ns() - before, 97 * (5 * kSecond) / 100);
}

std::uint64_t Percentile(std::vector<std::uint64_t> values, double part) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

TEST(Arbiter, BestEffortGetsTheRestAndCostsTheOthersAWindowAtMost) {
  SimulatedGpu gpu({{.percent = 50, .kernel_ns = 100 * kUs, .period_ns = 10 * kMs},
                    {.policy = Policy::kBestEffort}});
  gpu.Run(kRun);
  const auto& latencies = gpu.containers()[0].latencies_ns();
  EXPECT_GE(latencies.size(), kRun / (10 * kMs) - 3);
  EXPECT_LE(Percentile(latencies, 0.99), 8 * kMs);
  EXPECT_GE(gpu.Share(1, kRun), 88.0);
}

struct Pausing {
  std::uint64_t work_ns;
  std::uint64_t pause_ns;
  double least;  ///< of the GPU; alone it has work / (work + pause)
};

class SharesOfPausing : public ::testing::TestWithParam<Pausing> {};

TEST_P(SharesOfPausing, ItGetsMostOfWhatItHasAloneAndTheOtherIsNotBelowItsShare) {
  const Pausing& one = GetParam();
  SimulatedGpu gpu(
      {{.percent = 50, .kernel_ns = one.work_ns, .think_ns = one.pause_ns}, {.percent = 50}});
  gpu.Run(kRun);
  EXPECT_GE(gpu.Share(0, kRun), one.least);
  EXPECT_GE(gpu.Share(1, kRun), 50.0);
}

// Before a window could be interrupted, shares of the first were 4, 4, 15, 8, 26, 16 and 33; with
// windows for brief work, too, the first two were 11 and 7.
INSTANTIATE_TEST_SUITE_P(Habits, SharesOfPausing,
                         ::testing::Values(Pausing{kMs, 5 * kMs, 13.5}, Pausing{kMs, 10 * kMs, 8.0},
                                           Pausing{4 * kMs, 4 * kMs, 28.0},
                                           Pausing{4 * kMs, 30 * kMs, 10.0},
                                           Pausing{8 * kMs, 10 * kMs, 35.0},
                                           Pausing{8 * kMs, 30 * kMs, 18.0},
                                           Pausing{20 * kMs, 30 * kMs, 32.0}));

TEST(Arbiter, ManyThatPausePayForTheHandOversThemselves) {
  for (const auto& [work_ns, pause_ns] :
       {std::pair{300 * kUs, 4 * kMs}, {kMs, 3 * kMs}, {kMs, 15 * kMs}}) {
    std::vector<Habits> habits(11, {.percent = 5, .kernel_ns = work_ns, .think_ns = pause_ns});
    habits[0] = {.percent = 50};
    SimulatedGpu gpu(habits);
    gpu.Run(kRun);
    EXPECT_GE(gpu.Share(0, kRun), 49.0) << work_ns << " " << pause_ns;
  }
}

TEST(Arbiter, WhoAsksNowAndThenWaitsForAStretchAndWhatIsQueued) {
  for (const std::uint64_t other_ns : {100 * kUs, 500 * kUs, 3 * kMs}) {
    SimulatedGpu gpu({{.percent = 50, .kernel_ns = 100 * kUs, .period_ns = 10 * kMs},
                      {.percent = 50, .kernel_ns = other_ns}});
    gpu.Run(kRun);
    EXPECT_LE(Percentile(gpu.containers()[0].latencies_ns(), 0.5), 7 * kMs) << other_ns;
    EXPECT_LE(Percentile(gpu.containers()[0].latencies_ns(), 0.99), 13 * kMs) << other_ns;
    EXPECT_GE(gpu.Share(1, kRun), 88.0) << other_ns;
  }
}

TEST(Arbiter, BestEffortIsShutOutByThoseThatAlwaysWant) {
  SimulatedGpu gpu({{.percent = 50}, {.policy = Policy::kBestEffort}, {.percent = 20}});
  gpu.Run(kRun);
  EXPECT_LE(gpu.Share(1, kRun), 0.5);
  EXPECT_NEAR(gpu.Share(0, kRun), 500.0 / 7, 1.5);
}

TEST(Arbiter, TwoOfBestEffortAreEqual) {
  SimulatedGpu gpu(
      {{.policy = Policy::kBestEffort, .kernel_ns = 5 * kMs}, {.policy = Policy::kBestEffort}});
  gpu.Run(kRun);
  EXPECT_NEAR(gpu.Share(0, kRun), gpu.Share(1, kRun), 2.0);
  EXPECT_GE(gpu.Total(kRun), 97.0);
}

TEST(Arbiter, WhoHasNoShareGetsWhatIsNotPromised) {
  SimulatedGpu gpu({{.percent = 30}, {.percent = 0}, {.percent = 0}});
  gpu.Run(kRun);
  EXPECT_NEAR(gpu.Share(0, kRun), 30, 1.0);
  EXPECT_NEAR(gpu.Share(1, kRun), 35, 1.0);
  EXPECT_NEAR(gpu.Share(2, kRun), 35, 1.0);
}

TEST(Arbiter, FixedSharesLeaveTheRestIdle) {
  SimulatedGpu gpu({{.policy = Policy::kFixedShare, .percent = 20, .caps_itself = true},
                    {.policy = Policy::kFixedShare, .percent = 30, .caps_itself = true}});
  gpu.Run(kRun);
  EXPECT_NEAR(gpu.Share(0, kRun), 20, 1.0);
  EXPECT_NEAR(gpu.Share(1, kRun), 30, 1.0);
}

TEST(Arbiter, AFixedShareIsKeptBesideABurstingOne) {
  for (const bool told : {false, true}) {
    SimulatedGpu gpu(
        {{.policy = Policy::kFixedShare, .percent = 20, .caps_itself = true}, {.percent = 30}});
    if (told) gpu.TellBusy();
    gpu.Run(kRun);
    EXPECT_NEAR(gpu.Share(0, kRun), 20, 1.0) << told;
    EXPECT_GE(gpu.Total(kRun), 97.0) << told;
  }
}

TEST(Arbiter, WhoComesLateGetsItsShareFromThenOnAndNothingForThePast) {
  SimulatedGpu gpu(
      {{.percent = 30}, {.percent = 30}, {.percent = 40, .from_ns = kStart + 10 * kSecond}});
  gpu.Run(10 * kSecond);
  const auto before = gpu.containers()[0].used_ns();
  gpu.Run(400 * kMs);
  EXPECT_NEAR(gpu.Share(2, 400 * kMs), 40, 12.0);
  gpu.Run(10 * kSecond - 400 * kMs);
  EXPECT_NEAR(gpu.Share(2, 10 * kSecond), 40, 1.0);
  EXPECT_NEAR(100.0 * static_cast<double>(gpu.containers()[0].used_ns() - before) / 10e9, 30, 1.0);
}

TEST(Arbiter, WhoWaitsForEachKernelGetsWhatItAsksFor) {
  SimulatedGpu gpu({{.percent = 50, .kernel_ns = 2 * kMs, .think_ns = 300 * kUs}, {.percent = 50}});
  gpu.Run(kRun);
  // Its pauses are part of its windows.
  EXPECT_GE(gpu.Share(0, kRun), 40.0);
  EXPECT_GE(gpu.Total(kRun), 90.0);
}

TEST(Arbiter, AStoppedHolderCostsTheOthersPatienceOnce) {
  SimulatedGpu gpu(
      {{.percent = 50, .stops_at_ns = kStart + kSecond, .goes_on_at_ns = kStart + 10 * kSecond},
       {.percent = 50}});
  gpu.Run(kSecond);
  const auto before = gpu.containers()[1].used_ns();
  gpu.Run(9 * kSecond);
  EXPECT_GE(gpu.containers()[1].used_ns() - before, 9 * kSecond * 95 / 100);
  const auto at_return = gpu.containers()[0].used_ns();
  gpu.Run(20 * kSecond);
  EXPECT_GE(gpu.containers()[0].used_ns() - at_return, 20 * kSecond * 20 / 100);
}

TEST(Arbiter, AStoppedOneThatWantsIsGivenLittle) {
  Habits stopped{.percent = 50};
  stopped.always_wanting = true;
  stopped.stops_at_ns = kStart;
  SimulatedGpu gpu({stopped, {.percent = 50}});
  gpu.Run(kRun);
  EXPECT_GE(gpu.Share(1, kRun), 97.0);
}

TEST(Arbiter, WhoKeepsTheOthersWaitingAfterItsWindowsHasFewerOfThem) {
  Habits liar{.percent = 50};
  liar.lingers_ns = 90 * kMs;
  SimulatedGpu gpu({liar, {.percent = 50}});
  gpu.Run(kRun);
  EXPECT_GE(gpu.Share(1, kRun), 45.0);
  EXPECT_LE(gpu.Share(0, kRun), 15.0);
}

TEST(Arbiter, WhoLiesLoses) {
  for (const int lie : {0, 1, 2}) {
    Habits liar{.percent = 50};
    liar.always_running = lie == 0;
    liar.always_wanting = lie == 1;
    liar.never_running = lie == 2;
    SimulatedGpu gpu({liar, {.percent = 50}});
    gpu.Run(kRun);
    EXPECT_GE(gpu.Share(1, kRun), 45.0) << lie;
  }
}

TEST(Shares, WhoAsksForWindowsAndDoesNotUseThemSavesNothingUp) {
  Habits stopped{.percent = 30};
  stopped.stops_at_ns = kSecond + 2 * kSecond + 21 * kMs;
  stopped.goes_on_at_ns = kSecond + 32 * kSecond;
  SimulatedGpu gpu({{.percent = 70}, stopped});
  gpu.Run(20 * kSecond);
  ASSERT_TRUE(gpu.seen()[1].wanting && !gpu.seen()[1].running);
  gpu.Run(12 * kSecond);
  const auto before = gpu.containers()[0].used_ns();
  gpu.Run(3 * kSecond);
  EXPECT_NEAR(100.0 * static_cast<double>(gpu.containers()[0].used_ns() - before) / 3e9, 70, 4);
}

}  // namespace
}  // namespace tessera::agent::test
