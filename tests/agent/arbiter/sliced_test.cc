// Containers beside one that never rests, which are left to the hardware's slices or are not, in
// simulated time.
#include <gmock/gmock.h>

#include "tests/agent/arbiter/simulated_gpu.h"

namespace tessera::agent::test {
namespace {

using region::Policy;

constexpr std::uint64_t kStart = kSecond;  // of the simulation's clock
constexpr std::uint64_t kRun = 20 * kSecond;

/// Works and thinks by turns, beside one that never rests.
SimulatedGpu Brief(std::uint64_t work_ns, std::uint64_t think_ns, const Habits& of_brief,
                   const Habits& greedy) {
  Habits brief = of_brief;
  brief.kernel_ns = work_ns;
  brief.think_ns = think_ns;
  SimulatedGpu gpu({brief, greedy});
  gpu.TellBusy();
  gpu.Run(kRun);
  return gpu;
}

TEST(Slices, BriefWorkBesideOneThatNeverRestsNeedsNoWindows) {
  // With windows the first had 16, 11 and 3 percent, the other 61, 81 and 89.
  for (const auto& [work_ns, think_ns] :
       {std::pair{kMs, 1600 * kUs}, {kMs, 5 * kMs}, {300 * kUs, 10 * kMs}}) {
    const double natural =
        100.0 * static_cast<double>(work_ns) / static_cast<double>(work_ns + think_ns);
    for (const Habits& greedy : {Habits{.percent = 50}, {.policy = Policy::kBestEffort}}) {
      const SimulatedGpu gpu = Brief(work_ns, think_ns, {.percent = 50}, greedy);
      EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kRounds);
      EXPECT_GE(gpu.Share(0, kRun), 0.68 * natural);
      EXPECT_GE(gpu.Total(kRun), 96.0);
    }
  }
}

TEST(Slices, BriefWorkThatIsMoreThanItsShareHasWindows) {
  const SimulatedGpu gpu = Brief(kMs, 1600 * kUs, {.percent = 10}, {.percent = 90});
  EXPECT_GE(gpu.Share(1, kRun), 89.0);
}

TEST(Slices, ACapOfBriefWorkTakesNoMoreThanWindowsDo) {
  // With windows they had 16 and 13 percent.
  for (const auto& [percent, least] : {std::pair{50, 24.0}, {30, 14.0}}) {
    const Habits capped{.policy = Policy::kFixedShare, .percent = percent, .caps_itself = true};
    const SimulatedGpu gpu = Brief(kMs, 1600 * kUs, capped, {.percent = percent});
    EXPECT_GE(gpu.Share(0, kRun), least) << percent;
    EXPECT_GE(gpu.Share(1, kRun), 60.0) << percent;
  }
  // More than half of what it may count: 31 percent with windows.
  const Habits capped{.policy = Policy::kFixedShare, .percent = 39, .caps_itself = true};
  const SimulatedGpu gpu =
      Brief(1630 * kUs, 1420 * kUs, capped, {.percent = 6, .kernel_ns = 170 * kUs});
  EXPECT_GE(gpu.Share(0, kRun), 29.0);
}

TEST(Slices, ACapOfOneThatNeverRestsIsKeptByWindows) {
  const Habits capped{.policy = Policy::kFixedShare, .percent = 50, .caps_itself = true};
  const SimulatedGpu gpu = Brief(kMs, 1600 * kUs, {.percent = 50}, capped);
  EXPECT_NEAR(gpu.Share(1, kRun), 50, 1.0);
}

TEST(Slices, BestEffortInBriefPiecesTakesNothingFromTheGuaranteed) {
  const SimulatedGpu gpu = Brief(kMs, 1600 * kUs, {.policy = Policy::kBestEffort}, {.percent = 50});
  EXPECT_GE(gpu.Share(1, kRun), 99.0);
}

TEST(Slices, WhoHardlyRestsKeepsItsWindows) {
  // It goes on before they are given up, at its own speed: 38, 48, 52 and 45 percent.
  struct Case {
    std::uint64_t work_ns, think_ns;
    int percent;
    Habits greedy;
    double least;
  };
  const Habits rest{.policy = Policy::kBestEffort};
  for (const Case& one : {Case{600 * kUs, 950 * kUs, 52, rest, 36.0},
                          {kMs, kMs, 80, rest, 46.0},
                          {1500 * kUs, 1200 * kUs, 90, rest, 49.0},
                          {2 * kMs, kMs, 90, {.percent = 10, .kernel_ns = 5 * kMs}, 43.0}}) {
    const SimulatedGpu gpu = Brief(one.work_ns, one.think_ns, {.percent = one.percent}, one.greedy);
    EXPECT_GE(gpu.Share(0, kRun), one.least) << one.percent;
  }
}

TEST(Slices, WorkThatIsNoLongerBriefHasWindowsAtOnce) {
  for (const Policy policy : {Policy::kBurstShare, Policy::kFixedShare}) {
    Habits changes{.policy = policy, .percent = 70, .kernel_ns = kMs, .think_ns = 5 * kMs};
    changes.caps_itself = policy == Policy::kFixedShare;
    changes.becomes_ns = kStart + 5 * kSecond;
    changes.then_kernel_ns = 40 * kMs;
    changes.then_think_ns = 40 * kMs;
    SimulatedGpu gpu({changes, {.percent = 30}});
    gpu.TellBusy();
    gpu.Run(5 * kSecond);
    ASSERT_EQ(gpu.arbiter().mode(), ArbiterMode::kRounds);
    gpu.Run(kSecond / 2);
    EXPECT_EQ(gpu.arbiter().mode(), ArbiterMode::kWindows);
    const auto before = gpu.containers()[0].used_ns();
    gpu.Run(20 * kSecond);
    // With slices 31.
    EXPECT_GE(gpu.containers()[0].used_ns() - before, 20 * kSecond * 38 / 100);
  }
}

TEST(Slices, AreWatchedOnlyWhileSomebodyNeverRests) {
  const Habits brief{.percent = 30, .kernel_ns = kMs, .think_ns = 5 * kMs};
  Habits greedy{.percent = 30};
  greedy.to_ns = kStart + 4 * kSecond;
  SimulatedGpu gpu({brief, brief, greedy});
  gpu.TellBusy();
  const auto looks = [&](std::uint64_t ns) {
    int count = 0;
    gpu.Run(ns, [&](const SimulatedGpu&) { ++count; });
    return count;
  };
  gpu.Run(3 * kSecond);
  ASSERT_EQ(gpu.arbiter().mode(), ArbiterMode::kRounds);
  EXPECT_GE(looks(kSecond), 900) << "who is still brief has to be seen";
  gpu.Run(4 * kSecond);
  EXPECT_LE(looks(kSecond), 120);
}

TEST(Slices, WorkThatWindowsCutShortIsNotBrief) {
  Habits changes{.percent = 50, .kernel_ns = kMs, .think_ns = 5 * kMs};
  changes.becomes_ns = kStart + 300 * kMs;
  changes.then_kernel_ns = changes.then_think_ns = 25 * kMs;
  SimulatedGpu gpu({changes, {.percent = 50}});
  gpu.TellBusy();
  gpu.Run(400 * kMs);
  gpu.Run(5 * kSecond, [](const SimulatedGpu& now) {
    ASSERT_EQ(now.arbiter().mode(), ArbiterMode::kWindows) << now.now_ns();
  });
}

TEST(Slices, NobodyIsWorseOffWithoutWindowsThanItsShare) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](std::uint64_t low, std::uint64_t high) {
      return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
    };
    std::vector<Habits> habits;
    int left = 100;
    for (std::size_t count = pick(1, 3); habits.size() < count;) {
      const int percent = static_cast<int>(pick(5, 30));
      const std::uint64_t work_ns = pick(1, 30) * 100 * kUs;
      habits.push_back(
          {.percent = percent, .kernel_ns = work_ns, .think_ns = work_ns * pick(1, 9)});
      left -= percent;
    }
    habits.push_back({.percent = left});
    SimulatedGpu gpu(habits, seed);
    gpu.TellBusy();
    gpu.Run(kRun);
    EXPECT_GE(gpu.Share(habits.size() - 1, kRun), left - 1.5) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tessera::agent::test
