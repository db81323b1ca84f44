// The arbiter on a GPU that serves its processes by slices, as an H200 does, in simulated time. The
// figures without an arbiter are those of tests/gpu/README.md, within what the model is worth.
#include <algorithm>
#include <vector>

#include <gmock/gmock.h>

#include "tests/agent/arbiter/simulated_gpu.h"

namespace tessera::agent::test {
namespace {

using region::Policy;

constexpr std::uint64_t kStart = kSecond;  // of the simulation's clock
constexpr std::uint64_t kRun = 20 * kSecond;
constexpr Slices kH200{.length_ns = 2 * kMs, .switch_ns = 130 * kUs};
constexpr Habits kGreedy{.percent = 50, .kernel_ns = 100 * kUs};
constexpr Habits kBestEffort{.policy = Policy::kBestEffort, .kernel_ns = 100 * kUs};
constexpr Habits kSeldom{
    .percent = 50, .kernel_ns = 100 * kUs, .period_ns = 10 * kMs, .from_ns = kStart};

Habits Thinks(std::uint64_t work_ns, std::uint64_t think_ns) {
  return {.percent = 50, .kernel_ns = work_ns, .think_ns = think_ns};
}

SimulatedGpu Simulate(const std::vector<Habits>& habits, bool arbitrated = true) {
  SimulatedGpu gpu(habits, 1, kH200);
  gpu.TellBusy();
  if (!arbitrated) gpu.WithoutArbiter();
  gpu.Run(kRun);
  return gpu;
}

/// In us, from the second second on, of a kernel each 10 ms.
double Latency(const SimulatedGpu& gpu, double part) {
  std::vector<std::uint64_t> all = gpu.containers()[0].latencies_ns();
  all.erase(all.begin(), all.begin() + 100);
  std::sort(all.begin(), all.end());
  return static_cast<double>(
             all[static_cast<std::size_t>(part * static_cast<double>(all.size()))]) /
         kUs;
}

TEST(Hardware, TheModelServesAsAnH200DoesWithoutLimits) {
  const SimulatedGpu greedy = Simulate({kGreedy, kGreedy}, false);
  EXPECT_NEAR(greedy.Share(0, kRun), 46.8, 0.5);
  EXPECT_NEAR(greedy.Share(1, kRun), 46.8, 0.5);
  const SimulatedGpu seldom = Simulate({kSeldom, kGreedy}, false);
  EXPECT_NEAR(Latency(seldom, 0.5), 1357, 200);
  EXPECT_NEAR(Latency(seldom, 0.99), 2384, 200);
  EXPECT_NEAR(seldom.Share(1, kRun), 95.9, 1.0);
  EXPECT_NEAR(Simulate({Thinks(kMs, 1600 * kUs), kGreedy}, false).Share(0, kRun), 29.3, 2.0);
}

TEST(Hardware, BriefWorkIsServedAsWithoutLimits) {
  for (const Habits& other : {kGreedy, kBestEffort}) {
    const SimulatedGpu seldom = Simulate({kSeldom, other});
    EXPECT_LE(Latency(seldom, 0.5), 1400);
    EXPECT_LE(Latency(seldom, 0.99), 2500);
    EXPECT_GE(seldom.Share(1, kRun), 95.0);
    for (const auto& [think_ns, least, others] :
         {std::tuple{1600 * kUs, 29.0, 57.0}, {5 * kMs, 13.0, 80.0}}) {
      const SimulatedGpu gpu = Simulate({Thinks(kMs, think_ns), other});
      EXPECT_GE(gpu.Share(0, kRun), least) << think_ns;
      EXPECT_GE(gpu.Share(1, kRun), others) << think_ns;
    }
  }
}

TEST(Hardware, SlicesStayUntilItIsKnownThatTheGpuIsFull) {
  // Hand-overs of windows have left it idle a third of the time, and that is known for a second.
  SimulatedGpu gpu({Thinks(kMs, 1600 * kUs), kBestEffort}, 1, kH200);
  gpu.TellBusy();
  ArbiterMode mode = gpu.arbiter().mode();
  int changes = 0;
  gpu.Run(kRun, [&](const SimulatedGpu& now) {
    changes += now.arbiter().mode() != mode ? 1 : 0;
    mode = now.arbiter().mode();
  });
  EXPECT_LE(changes, 2);
}

TEST(Hardware, SharesOfThoseWhoNeverRestHold) {
  for (const std::vector<int>& percents : {std::vector{50, 50}, {30, 70}, {10, 20, 70}}) {
    std::vector<Habits> habits;
    for (const int percent : percents) {
      habits.push_back({.percent = percent, .kernel_ns = 100 * kUs});
    }
    const SimulatedGpu gpu = Simulate(habits);
    for (std::size_t i = 0; i < percents.size(); ++i) {
      EXPECT_NEAR(gpu.Share(i, kRun), percents[i], 1.0) << i << " of " << percents.size();
    }
  }
}

}  // namespace
}  // namespace tessera::agent::test
