// Which share of a GPU's time the pacer's programs get, in virtual time.
#include "interceptor/pacer.h"

#include <utility>

#include <gmock/gmock.h>

#include "tests/interceptor/simulated_process.h"

namespace tessera::test {
namespace {

TEST(Pacer, HoldsTheShareWhateverAKernelsLength) {
  for (const std::uint32_t percent : {1U, 10U, 30U, 50U, 80U, 99U}) {
    for (const std::uint64_t kernel : {5 * kUs, 50 * kUs, 500 * kUs, 5 * kMs, 50 * kMs}) {
      EXPECT_NEAR(ShareOf(percent, {.kernel_ns = kernel}), percent, percent == 99 ? 2 : 1.5)
          << "limit " << percent << ", kernels of " << kernel / kUs << " us";
    }
  }
}

TEST(Pacer, HoldsTheShareOfKernelsOfASecond) {
  EXPECT_NEAR(ShareOf(30, {.kernel_ns = kSecond}, 200), 30, 2);
}

TEST(Pacer, HoldsTheShareOfKernelsOfManyLengths) {
  // It takes 2.4 s for both kinds once, and ten seconds would end anywhere in the pause for the
  // long.
  const Program changes{.kernel_ns = 50 * kUs, .batch = 100, .other_ns = 7 * kMs};
  EXPECT_NEAR(ShareOf(30, changes, 40), 30, 1.0);
  EXPECT_NEAR(ShareOf(50, {.kernel_ns = 20 * kUs, .other_ns = 3 * kMs}), 50, 1.5);
}

TEST(Pacer, HoldsTheShareOfLaunchesThatAreWaitedFor) {
  for (const std::uint32_t percent : {30U, 80U}) {
    EXPECT_NEAR(ShareOf(percent, {.kernel_ns = 500 * kUs, .waits = true}), percent, 3);
    EXPECT_NEAR(ShareOf(percent, {.kernel_ns = 5 * kMs, .waits = true}), percent, 2);
  }
}

TEST(Pacer, TakesLittleFromAProgramBelowItsShare) {
  // Natural use 40 %: 4 ms of kernels and 6 ms of thinking, in kernels of several lengths.
  for (const auto& [kernel, batch] : {std::pair{4 * kMs, 1}, {400 * kUs, 10}, {50 * kUs, 80}}) {
    const Program program{.kernel_ns = kernel,
                          .batch = static_cast<std::uint64_t>(batch),
                          .waits = true,
                          .think_ns = 6 * kMs};
    EXPECT_GE(ShareOf(50, program), 40 * 0.97) << kernel;
  }
  EXPECT_GE(ShareOf(50, {.kernel_ns = 40 * kMs, .waits = true, .think_ns = 60 * kMs}), 38.8);
}

TEST(Pacer, GapsOfMicrosecondsAreNotCharged) {
  for (const auto& [kernel, gap] : {std::pair{10 * kUs, 12 * kUs}, {5 * kUs, 7 * kUs}}) {
    // The program launches each 3 us + gap, so that much of the time is natural.
    const double natural = 100.0 * static_cast<double>(kernel) / static_cast<double>(3 * kUs + gap);
    ASSERT_GT(natural, 45);
    const Program program{.kernel_ns = kernel, .think_ns = gap};
    EXPECT_NEAR(ShareOf(natural > 60 ? 90 : 80, program), natural, 0.04 * natural) << kernel;
    EXPECT_NEAR(ShareOf(30, program), 30, 4) << kernel;
  }
  const Program waits{.kernel_ns = 100 * kUs, .waits = true, .think_ns = 150 * kUs};
  EXPECT_GE(ShareOf(50, waits, 10, 10 * kUs), 0.97 * ShareOf(99, waits, 10, 10 * kUs));
}

TEST(Pacer, TellsLaunchesBehindOthersFromThoseThatTheGpuWaitsFor) {
  const auto shallow_part = [](std::uint32_t percent, const Program& program, bool windows) {
    Gpu gpu;
    region::Pace pace{};
    Process process(gpu, pace, percent, program);
    if (windows) {
      process.law = [percent](std::uint64_t now) {
        return InWindows(percent, now, 20 * kMs, 40 * kMs);
      };
    }
    RunFor(5 * kSecond, gpu, {&process});
    return static_cast<double>(pace.shallow_launches.load()) /
           static_cast<double>(pace.ended_launches.load());
  };
  for (const bool windows : {false, true}) {
    for (const std::uint32_t percent : {0, 10, 30, 50, 99}) {
      for (const std::uint64_t kernel : {5 * kUs, 50 * kUs, 500 * kUs}) {
        EXPECT_LE(shallow_part(percent, {.kernel_ns = kernel}, windows), 0.02) << kernel;
      }
      for (const std::uint64_t kernel : {10 * kUs, 50 * kUs}) {  // a step of 2 ms, then its result
        const Program step{
            .kernel_ns = kernel, .batch = 2 * kMs / kernel, .waits = true, .think_ns = 100 * kUs};
        EXPECT_LE(shallow_part(percent, step, windows), 0.06) << kernel;
      }
      const Program launch_bound{.kernel_ns = 5 * kUs, .think_ns = 5 * kUs};
      EXPECT_GE(shallow_part(percent, launch_bound, windows), 0.95) << percent;
      const Program waits{.kernel_ns = 20 * kUs, .waits = true};
      EXPECT_GE(shallow_part(percent, waits, windows), 0.95) << percent;
    }
  }
}

TEST(Pacer, WhatTheAgentSaysIsNoWorkIsNotCharged) {
  for (const auto& [percent, permille] : {std::pair{30U, 500U}, {20U, 250U}, {50U, 900U}}) {
    Gpu gpu;
    region::Pace pace{};
    Process process(gpu, pace, percent, {.kernel_ns = 100 * kUs});
    process.law = [percent = percent, permille = permille](std::uint64_t) {
      return Law{.percent = percent, .arbitrated = true, .work_permille = permille};
    };
    const double share = RunFor(10 * kSecond, gpu, {&process});
    EXPECT_NEAR(share * permille / 1000, percent, 1.5) << permille;
    EXPECT_NEAR(1e-7 * static_cast<double>(pace.used_ns.load()) / 10, percent, 1.5) << permille;
    EXPECT_NEAR(static_cast<double>(pace.ended_launches.load()), share * 1e3, 50) << permille;
  }
}

/// The first `window` of each `period` are the container's.
double ShareInWindows(std::uint32_t percent, Program program, std::uint64_t window,
                      std::uint64_t period, std::uint64_t switch_ns = 0) {
  Gpu gpu{.switch_ns = switch_ns};
  region::Pace pace{};
  Process process(gpu, pace, percent, program);
  process.latency_ns = 10 * kUs;
  process.law = [&](std::uint64_t now) { return InWindows(percent, now, window, period); };
  return RunFor(10 * kSecond, gpu, {&process});
}

TEST(Pacer, FillsAWindowAndEndsWithIt) {
  for (const std::uint64_t kernel : {20 * kUs, 100 * kUs, 500 * kUs, 2 * kMs}) {
    const double share = ShareInWindows(0, {.kernel_ns = kernel}, 20 * kMs, 40 * kMs);
    const double late = 100.0 * static_cast<double>(kMs + kernel) / (40.0 * kMs);
    EXPECT_GT(share, 49) << kernel;
    EXPECT_LT(share, 50 + late) << kernel;
  }
  EXPECT_NEAR(ShareInWindows(0, {.kernel_ns = 50 * kMs}, 20 * kMs, 200 * kMs), 25, 1);
}

TEST(Pacer, AWindowsFirstLaunchIsNotTakenForALongOne) {
  constexpr std::uint64_t kSwitchNs = 600 * kUs;
  for (const std::uint64_t kernel : {5 * kUs, 20 * kUs, 100 * kUs}) {
    const Program program{.kernel_ns = kernel};
    const double at_once = ShareInWindows(0, program, 20 * kMs, 40 * kMs);
    const double late = ShareInWindows(0, program, 20 * kMs, 40 * kMs, kSwitchNs);
    const double lost = 100.0 * static_cast<double>(kSwitchNs) / (40.0 * kMs);
    EXPECT_GT(late, at_once - 1.3 * lost) << kernel;
  }
}

TEST(Pacer, AWindowOfItsOwnSizeIsNotCutShortByTheShare) {
  for (const std::uint64_t kernel : {100 * kUs, 2 * kMs}) {
    const Program program{.kernel_ns = kernel};
    EXPECT_GT(ShareInWindows(50, program, 20 * kMs, 40 * kMs), 48.8) << kernel;
    EXPECT_GT(ShareInWindows(25, program, 20 * kMs, 80 * kMs), 24.3) << kernel;
    EXPECT_GT(ShareInWindows(70, program, 60 * kMs, 86 * kMs), 68.5) << kernel;
  }
}

TEST(Pacer, TheShareHoldsInWindowsThatAllowMore) {
  EXPECT_NEAR(ShareInWindows(30, {.kernel_ns = 100 * kUs}, 20 * kMs, 40 * kMs), 30, 1);
  EXPECT_NEAR(ShareInWindows(30, {.kernel_ns = 5 * kMs}, 20 * kMs, 25 * kMs), 30, 1);
}

TEST(Pacer, TwoProcessesHoldOneShare) {
  Gpu gpu;
  region::Pace pace{};
  Process one(gpu, pace, 40, {.kernel_ns = 300 * kUs});
  Process two(gpu, pace, 40, {.kernel_ns = 2 * kMs});
  EXPECT_NEAR(RunFor(10 * kSecond, gpu, {&one, &two}), 40, 2);
  EXPECT_GT(one.batches, 1000U);
  EXPECT_GT(two.batches, 100U);
}

TEST(Pacer, ANewShareHoldsAtOnce) {
  Gpu gpu;
  region::Pace pace{};
  Process process(gpu, pace, 20, {});
  EXPECT_NEAR(RunFor(5 * kSecond, gpu, {&process}), 20, 1.5);
  process.pacer.Obey({.percent = 60});
  EXPECT_NEAR(RunFor(5 * kSecond, gpu, {&process}, kStart + 5 * kSecond), 60, 2);
  process.pacer.Obey({.percent = 10});
  EXPECT_NEAR(RunFor(5 * kSecond, gpu, {&process}, kStart + 10 * kSecond), 10, 2);
}

TEST(Pacer, LateWakeUpsCostNoShareBeyondTheirOwnTime) {
  Gpu gpu;
  region::Pace pace{};
  Process process(gpu, pace, 50, {});
  process.latency_ns = kMs;
  EXPECT_NEAR(RunFor(10 * kSecond, gpu, {&process}), 50, 8);
}

TEST(Pacer, NeverLetsThroughWhatItHasNotMeasured) {
  region::Pace pace{};
  Pacer pacer(pace, {.percent = 50});
  const Pacer::Step step = pacer.Knocked(kStart, kStart, 1);
  EXPECT_EQ(step.kind, Kind::kRound);
  EXPECT_EQ(step.credits, 0U) << "one launch of unknown length is queued";
}

TEST(Pacer, WhatRunsWhileAStreamIsCapturedIsGuessed) {
  region::Pace pace{};
  Pacer pacer(pace, {.percent = 50});
  pacer.Knocked(kStart, kStart, 1);
  pacer.Synced({kStart, kStart + 3 * kMs, 1, 4});  // 3 ms each, more are queued
  const std::uint64_t used = pace.used_ns.load();
  pacer.Skipped(kStart + 10 * kMs, 4);
  EXPECT_EQ(pace.used_ns.load(), used + 6 * kMs) << "two of three";
  std::uint64_t now = kStart + 11 * kMs, launched = 4;
  bool paused = false;
  for (int i = 0; i < 1000 && !paused; ++i, now += kMs) {
    const Pacer::Step step = pacer.Skipped(now, launched);
    launched += step.kind == Kind::kRound ? step.credits : 0;
    paused = step.kind == Kind::kPause;
  }
  EXPECT_TRUE(paused) << "the share holds meanwhile";
  EXPECT_LT(launched, 30U);
}

TEST(Pacer, ACountThatIsOneShortForAMomentMeansNothing) {
  region::Pace pace{};
  Pacer pacer(pace, {.percent = 50});
  pacer.StartAt(7, false);
  pacer.Knocked(kStart, kStart, 7);
  pacer.Synced({kStart, kStart + kUs, 6, 6});
  EXPECT_EQ(pace.used_ns.load(), 0U);
}

// A capture may last for ever, and wait for a launch that is held up.
TEST(Pacer, WhatIsUnknownIsNotWaitedForWhileAStreamIsCaptured) {
  region::Pace pace{};
  Pacer pacer(pace, {.arbitrated = true, .open_until_ns = 0});
  pacer.StartAt(5, true);
  Pacer::Step step = pacer.Knocked(kStart, kStart, 5);
  std::uint64_t now = kStart;
  for (int i = 0; i < 100 && step.kind == Kind::kDrain; ++i) step = pacer.Skipped(now += kMs, 5);
  EXPECT_EQ(step.kind, Kind::kPause);
}

}  // namespace
}  // namespace tessera::test
