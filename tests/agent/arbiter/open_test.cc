// Containers for which open gates are better than windows, in simulated time.
#include <gmock/gmock.h>

#include "tests/agent/arbiter/simulated_gpu.h"

namespace tessera::agent::test {
namespace {

using region::Policy;

constexpr std::uint64_t kStart = kSecond;  // of the simulation's clock
constexpr std::uint64_t kRun = 20 * kSecond;

/// Inference of batch 1: short kernels, one after the other as fast as its CPU launches them. It
/// needs 20 percent of the GPU, and counts 40.
Habits LaunchBound(Policy policy, int percent) {
  return {.policy = policy,
          .percent = percent,
          .kernel_ns = 10 * kUs,
          .launch_ns = 10 * kUs,
          .period_ns = 50 * kUs,
          .loses_time = true,
          .from_ns = kStart,
          .caps_itself = policy == Policy::kFixedShare};
}

TEST(OpenGates, ProgramsThatWaitForTheirCpuRunAsFastAsAlone) {
  const Habits habits = LaunchBound(Policy::kBurstShare, 25);
  SimulatedGpu gpu({habits, habits});
  gpu.Run(kRun);
  // Until it is known that nobody presses there are windows.
  EXPECT_LE(gpu.arbiter().windows_total(), 40U);
  EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kRounds);
  for (const std::size_t i : {0, 1}) EXPECT_GE(gpu.Share(i, kRun), 19.5) << i;
}

TEST(OpenGates, LaunchesThatAreUnderWayAllTheTimeDoNotFillAGpu) {
  // In step, each waits for two others, and the next launch comes before its kernel has ended.
  const Habits habits = LaunchBound(Policy::kBurstShare, 25);
  SimulatedGpu gpu({habits, habits, habits});
  gpu.TellBusy();
  gpu.Run(kRun);
  // Nobody has told anything in the first second.
  for (const std::size_t i : {0, 1, 2}) EXPECT_GE(gpu.Share(i, kRun), 19.3) << i;
}

TEST(OpenGates, WhoNeverRestsHasThemEnd) {
  Habits greedy{.percent = 50};
  greedy.from_ns = kStart + 5 * kSecond;
  SimulatedGpu gpu({LaunchBound(Policy::kBurstShare, 50), greedy});
  gpu.Run(5 * kSecond + 300 * kMs);
  EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kWindows);
  const auto before = gpu.containers()[0].used_ns();
  gpu.Run(10 * kSecond);
  EXPECT_GE(gpu.containers()[0].used_ns() - before, 9 * kSecond / 10) << "half of what it needs";
}

TEST(OpenGates, TheyOpenAgainWhenItHasGone) {
  Habits greedy{.percent = 50};
  greedy.to_ns = kStart + 5 * kSecond;
  const Habits habits = LaunchBound(Policy::kBurstShare, 25);
  SimulatedGpu gpu({habits, habits, greedy});
  gpu.Run(6 * kSecond);
  EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kRounds);
  const auto before = gpu.containers()[0].used_ns();
  gpu.Run(10 * kSecond);
  EXPECT_NEAR(100.0 * static_cast<double>(gpu.containers()[0].used_ns() - before) / 10e9, 20, 0.5);
}

TEST(OpenGates, ACapDoesNotHoldWhoNeedsLessOfTheGpu) {
  const Habits capped = LaunchBound(Policy::kFixedShare, 30);
  SimulatedGpu untold({capped, LaunchBound(Policy::kBurstShare, 30)});
  untold.Run(kRun);
  EXPECT_LE(untold.Share(0, kRun), 16) << "by what it counts itself";
  SimulatedGpu told({capped, LaunchBound(Policy::kBurstShare, 30)});
  told.TellBusy();
  told.Run(kRun);
  EXPECT_GE(told.Share(0, kRun), 19);
  EXPECT_GE(told.Share(1, kRun), 19);
}

TEST(OpenGates, CapsOfProgramsWhoseLaunchesNeverEndAreExactInWindowsToo) {
  // Counts all of the time that it has, of which half is work.
  Habits capped = LaunchBound(Policy::kFixedShare, 20);
  capped.period_ns = 20 * kUs;
  Habits greedy{.policy = Policy::kFixedShare, .percent = 50, .caps_itself = true};
  for (const Habits& other : {capped, greedy}) {
    SimulatedGpu gpu({capped, other});
    gpu.TellBusy();
    gpu.Run(kRun);
    EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kWindows);
    EXPECT_NEAR(gpu.Share(0, kRun), 20, 1.5) << "10 by what it counts";
    EXPECT_NEAR(gpu.Share(1, kRun), other.percent, 1.5);
  }
}

TEST(OpenGates, WhatWasLearnedOfShortKernelsLiftsNoCapForLong) {
  Habits capped{.policy = Policy::kFixedShare, .percent = 30, .caps_itself = true};
  Habits shorts = LaunchBound(Policy::kBurstShare, 30);
  shorts.to_ns = kStart + 5 * kSecond;
  capped.from_ns = kStart + 5 * kSecond;
  SimulatedGpu gpu({capped, shorts});
  gpu.TellBusy();
  gpu.Run(kRun);
  EXPECT_NEAR(gpu.Share(0, kRun), 30.0 * 15 / 20, 1.0);
}

TEST(OpenGates, ACapIsNoLooserBesideProgramsOfShortKernels) {
  Habits capped{.policy = Policy::kFixedShare, .percent = 30, .kernel_ns = 600 * kUs};
  capped.think_ns = 400 * kUs;
  capped.caps_itself = true;
  SimulatedGpu gpu({capped, LaunchBound(Policy::kBurstShare, 30)});
  gpu.TellBusy();
  gpu.Run(kRun);
  EXPECT_LE(gpu.Share(0, kRun), 31.5);
  EXPECT_GE(gpu.Share(0, kRun), 22) << "while both run it counts the time of both";
  EXPECT_GE(gpu.Share(1, kRun), 18);
}

TEST(OpenGates, CapsThatAreBothUsedUpAreKeptByWindows) {
  const Habits capped{.policy = Policy::kFixedShare, .percent = 30, .caps_itself = true};
  SimulatedGpu gpu({capped, capped});
  gpu.TellBusy();
  gpu.Run(kRun);
  for (const std::size_t i : {0, 1}) EXPECT_NEAR(gpu.Share(i, kRun), 30, 1.0);
}

TEST(OpenGates, WhoWaitsAndDoesNotUseItsWindowsPutsNobodyIntoThem) {
  const Habits habits = LaunchBound(Policy::kBurstShare, 30);
  Habits stopped{.percent = 30};
  stopped.stops_at_ns = kStart + 2 * kSecond + 21 * kMs;
  Habits liar{.percent = 30};
  liar.to_ns = 0;
  liar.always_wanting = true;
  for (const Habits& idle : {stopped, liar}) {
    SimulatedGpu gpu({habits, habits, idle});
    gpu.TellBusy();
    gpu.Run(10 * kSecond);
    ASSERT_TRUE(gpu.seen()[2].wanting && !gpu.seen()[2].running);
    EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kRounds);
    const auto before = gpu.containers()[0].used_ns();
    gpu.Run(10 * kSecond);
    EXPECT_GE(gpu.containers()[0].used_ns() - before, 10 * kSecond * 195 / 1000);
  }
}

TEST(OpenGates, WhoSaysThatItRunsPutsOthersIntoWindowsForSomeSecondsOnly) {
  const Habits habits = LaunchBound(Policy::kBurstShare, 30);
  Habits stopped{.percent = 30};
  stopped.to_ns = 0;
  stopped.always_running = true;
  SimulatedGpu gpu({habits, habits, stopped});  // and nobody says how busy the GPU is
  gpu.Run(9 * kSecond);
  EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kWindows) << "it may be one long kernel";
  gpu.Run(6 * kSecond);
  EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kRounds);
}

TEST(OpenGates, WhoHidesWhatItUsesWinsNothing) {
  Habits liar{.percent = 30};
  liar.counts_nothing = true;
  SimulatedGpu beside_greedy({liar, {.percent = 70}});
  beside_greedy.Run(kRun);
  EXPECT_NEAR(beside_greedy.Share(1, kRun), 70, 1.5);
  SimulatedGpu beside_short({liar, LaunchBound(Policy::kBurstShare, 70)});
  beside_short.Run(kRun);
  EXPECT_GE(beside_short.Share(1, kRun), 9.0) << "as with windows";
  // Nor by seeming to be one that slices serve.
  Habits hidden{.percent = 10, .never_running = true, .counts_nothing = true};
  hidden.tells_launches = true;
  for (const Habits& one : {Habits{.percent = 10, .counts_nothing = true}, hidden}) {
    SimulatedGpu gpu({one, {.percent = 90}});
    gpu.Run(kRun);
    EXPECT_GE(gpu.Share(1, kRun), 73.0) << "as with windows";
  }
}

}  // namespace
}  // namespace tessera::agent::test
