// The pacer in virtual time: a GPU with one queue, programs that launch, and the thread that does
// what the pacer says.
#include "interceptor/pacer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <queue>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera {
namespace {

using Kind = Pacer::Step::Kind;
constexpr std::uint64_t kUs = 1'000, kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr std::uint64_t kStart = 1000 * kSecond;

/// When what was queued on the GPU ends; runs one kernel after the other.
struct Gpu {
  std::uint64_t free_at = kStart;
  std::uint64_t busy_ns = 0;
  /// Somebody else never rests: has the GPU when nothing of ours is queued, and else every other
  /// slice. 0: nobody does.
  std::uint64_t slice_ns = 0;
  /// What it takes until we have it after a millisecond without work of ours.
  std::uint64_t switch_ns = 0;
  std::uint64_t slice_ends_at = kStart;

  std::uint64_t Run(std::uint64_t now, std::uint64_t length) {
    busy_ns += length;
    if (slice_ns != 0) return Slice(now, length);
    if (now > free_at + kMs) free_at = now + switch_ns;
    return free_at = std::max(free_at, now) + length;
  }
  std::uint64_t Slice(std::uint64_t now, std::uint64_t length) {
    if (now > free_at) {
      free_at += (now - free_at + slice_ns - 1) / slice_ns * slice_ns;
      slice_ends_at = free_at + slice_ns;
    }
    while (free_at + length > slice_ends_at) {
      length -= slice_ends_at - free_at;
      free_at = slice_ends_at + slice_ns;
      slice_ends_at = free_at + slice_ns;
    }
    return free_at += length;
  }
};

/// What a program does: launches that take `kernel_ns` of the GPU, `batch` of them, waits for
/// them if `waits`, then thinks for `think_ns`.
struct Program {
  std::uint64_t kernel_ns = 500 * kUs;
  std::uint64_t batch = 1;
  bool waits = false;
  std::uint64_t think_ns = 0;
  std::uint64_t other_ns = 0;  ///< every other batch has kernels of that length, if not 0
};

/// One process: the program's thread and the gate's thread, on a GPU and in a container.
class Process {
 public:
  Process(Gpu& gpu, region::Pace& pace, std::uint32_t percent, Program program)
      : pacer(pace, {.percent = percent}), gpu_(gpu), program_(program) {}

  /// The earliest time at which something is to be done here.
  std::uint64_t NextEvent() const {
    return std::min(thread_at_, CanLaunch() ? program_at_ : kNever);
  }

  void Advance(std::uint64_t now) {
    if (thread_at_ > now) return Launch(now);
    if (law) pacer.Obey(law(now));
    Answer(now);
  }

  Pacer pacer;
  std::uint64_t latency_ns = 20 * kUs;  ///< of every wake-up
  std::uint64_t batches = 0;
  std::vector<std::uint64_t> ahead_ns;  ///< that was queued on the GPU, at each launch
  bool gated = true;
  std::function<Law(std::uint64_t)> law;  ///< as it is at a time, if it changes

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  bool CanLaunch() const { return credits_ > 0 || !gated; }

  void Launch(std::uint64_t now) {
    const bool odd = batches % 2 == 1 && program_.other_ns != 0;
    const std::uint64_t end = gpu_.Run(now, odd ? program_.other_ns : program_.kernel_ns);
    ends_.push_back(end);
    ahead_ns.push_back(end - now);
    if (gated) --credits_;
    ++launched_;
    program_at_ = now + 3 * kUs;
    if (++in_batch_ == program_.batch) {
      in_batch_ = 0;
      ++batches;
      if (program_.waits) program_at_ = end + 5 * kUs;
      program_at_ += program_.think_ns;
    }
    if (step_.kind == Kind::kRest && thread_at_ == kNever) {
      first_ns_ = now;
      thread_at_ = now + latency_ns;
    }
  }

  void Answer(std::uint64_t now) {
    if (step_.kind == Kind::kRest) {
      Take(now, pacer.Knocked(now, first_ns_, launched_));
    } else if (step_.kind == Kind::kPause) {
      const Pacer::Step step = pacer.Paused(now);
      Take(now, step.kind == Kind::kRest && law ? pacer.Opened(now, launched_) : step);
    } else if (!asked_) {
      asked_ = true;
      asked_ns_ = now;
      seen_ = launched_;
      if (step_.more_credits > 0) LetThrough(now, step_.more_credits);
      const std::uint64_t end = ends_.empty() ? now : std::max(now, ends_.back());
      thread_at_ = end == now ? now + 5 * kUs : end + latency_ns;
    } else {
      Take(now, pacer.Synced({asked_ns_, now, seen_, launched_}));
    }
  }

  void Take(std::uint64_t now, Pacer::Step step) {
    step_ = step;
    asked_ = false;
    const bool lets_through = step.kind == Kind::kRest || step.kind == Kind::kRound;
    if (!lets_through || step.credits > 0 || step.more_credits == 0) LetThrough(now, 0);
    if (lets_through && step.credits > 0) LetThrough(now, step.credits);
    if (step.kind == Kind::kRest) thread_at_ = kNever;
    if (step.kind == Kind::kPause) thread_at_ = step.until_ns + latency_ns;
    if (step.kind == Kind::kRound || step.kind == Kind::kDrain) thread_at_ = now + step.nap_ns;
    EXPECT_LE(credits_, 4096U);
  }

  void LetThrough(std::uint64_t now, std::uint64_t credits) {
    const bool waited = credits_ == 0;
    credits_ = credits;
    if (waited && credits_ > 0 && program_at_ < now) program_at_ = now + latency_ns / 2;
  }

  Gpu& gpu_;
  const Program program_;
  Pacer::Step step_{.kind = Kind::kRest};
  std::uint64_t credits_ = 1;
  std::uint64_t program_at_ = kStart;
  std::uint64_t thread_at_ = kNever;
  std::uint64_t first_ns_ = 0, asked_ns_ = 0, seen_ = 0, launched_ = 0, in_batch_ = 0;
  bool asked_ = false;
  std::vector<std::uint64_t> ends_;
};

/// Runs all of a container's processes; returns the GPU's busy share of the time, in percent.
double RunFor(std::uint64_t length, Gpu& gpu, std::vector<Process*> processes,
              std::uint64_t from = kStart) {
  const std::uint64_t before = gpu.busy_ns;
  while (true) {
    Process* next = *std::min_element(processes.begin(), processes.end(), [](auto* a, auto* b) {
      return a->NextEvent() < b->NextEvent();
    });
    const std::uint64_t now = next->NextEvent();
    if (now > from + length) break;
    next->Advance(now);
  }
  return 100.0 * static_cast<double>(gpu.busy_ns - before) / static_cast<double>(length);
}

double ShareOf(std::uint32_t percent, Program program, std::uint64_t seconds = 10,
               std::uint64_t latency_ns = 20 * kUs) {
  Gpu gpu;
  region::Pace pace{};
  Process process(gpu, pace, percent, program);
  process.latency_ns = latency_ns;
  return RunFor(seconds * kSecond, gpu, {&process});
}

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

/// Of some work each 20 ms, beside one that never rests, while the agent lets both in.
std::uint64_t BurstsBesideAGreedyOne(std::uint32_t percent, bool gated, std::uint64_t kernel_ns,
                                     std::uint64_t launches) {
  Gpu gpu{.slice_ns = 2 * kMs};
  region::Pace pace{};
  Process process(
      gpu, pace, percent,
      {.kernel_ns = kernel_ns, .batch = launches, .waits = true, .think_ns = 18'123 * kUs});
  process.gated = gated;
  process.law = [percent](std::uint64_t) {
    return Law{.percent = percent, .arbitrated = true, .open_until_ns = region::kOpenInRounds};
  };
  RunFor(20 * kSecond, gpu, {&process});
  return process.batches;
}

/// Others who come then wait for it.
TEST(Pacer, InRoundsLittleIsQueued) {
  struct Case {
    Program program;
    std::uint64_t usual_ns, most_ns;  ///< 99 of 100 launches; all
  };
  for (const Case& one :
       {Case{{.kernel_ns = 500 * kUs}, 6 * kMs, 8 * kMs},
        {{.kernel_ns = kMs, .batch = 100, .waits = true, .think_ns = 5 * kMs}, 8 * kMs, 11 * kMs},
        {{.kernel_ns = 20 * kUs, .other_ns = 3 * kMs}, 8 * kMs, 20 * kMs},
        {{.kernel_ns = 10 * kUs, .batch = 20, .other_ns = kMs}, 25 * kMs, 50 * kMs}}) {
    for (const std::uint32_t percent : {0U, 80U}) {
      Gpu gpu;
      region::Pace pace{};
      Process process(gpu, pace, percent, one.program);
      process.law = [percent](std::uint64_t) {
        return Law{.percent = percent, .arbitrated = true, .open_until_ns = region::kOpenInRounds};
      };
      RunFor(20 * kSecond, gpu, {&process});
      std::vector<std::uint64_t>& ahead = process.ahead_ns;
      std::sort(ahead.begin(), ahead.end());
      EXPECT_LE(ahead[ahead.size() * 99 / 100], one.usual_ns) << one.program.kernel_ns;
      EXPECT_LE(ahead.back(), one.most_ns) << one.program.kernel_ns;
    }
  }
}

TEST(Pacer, WhoHasNoTimeToSpareQueuesWhatTheAverageSays) {
  {
    Gpu gpu;
    region::Pace pace{};
    Process process(gpu, pace, 0, {.kernel_ns = 10 * kUs, .batch = 20, .other_ns = kMs});
    process.law = [](std::uint64_t now) {
      const std::uint64_t from = now - (now - kStart) % (40 * kMs);
      const bool open = now < from + 20 * kMs;
      return Law{.arbitrated = true,
                 .open_until_ns = open ? from + 20 * kMs : 0,
                 .likely_open_ns = from + 40 * kMs};
    };
    RunFor(20 * kSecond, gpu, {&process});
    EXPECT_LE(*std::max_element(process.ahead_ns.begin(), process.ahead_ns.end()), 25 * kMs)
        << "the next window waits for it";
  }
  Gpu gpu;
  region::Pace pace{};
  Process process(gpu, pace, 30, {.kernel_ns = 20 * kUs, .other_ns = 3 * kMs});
  RunFor(20 * kSecond, gpu, {&process});
  std::vector<std::uint64_t>& ahead = process.ahead_ns;
  std::sort(ahead.begin(), ahead.end());
  EXPECT_LE(ahead[ahead.size() / 2], 4 * kMs) << "a pause pays for it";
}

TEST(Pacer, WhoIsBelowItsShareKeepsItsTurnsOnTheGpuBesideOthers) {
  for (const std::uint32_t percent : {0U, 50U, 80U}) {
    for (const auto& [kernel, launches] :
         {std::pair{5 * kUs, 200U}, {20 * kUs, 200U}, {100 * kUs, 40U}, {500 * kUs, 8U}}) {
      const auto without = BurstsBesideAGreedyOne(percent, false, kernel, launches);
      const auto with = BurstsBesideAGreedyOne(percent, true, kernel, launches);
      EXPECT_GE(static_cast<double>(with), 0.99 * static_cast<double>(without))
          << percent << " percent, kernels of " << kernel / kUs << " us";
    }
  }
}

/// The first `window` of each `period` are the container's.
double ShareInWindows(std::uint32_t percent, Program program, std::uint64_t window,
                      std::uint64_t period, std::uint64_t switch_ns = 0) {
  Gpu gpu{.switch_ns = switch_ns};
  region::Pace pace{};
  Process process(gpu, pace, percent, program);
  process.latency_ns = 10 * kUs;
  process.law = [&](std::uint64_t now) {
    const std::uint64_t from = (now - kStart) / period * period + kStart;
    const bool open = now < from + window;
    return Law{.percent = percent,
               .arbitrated = true,
               .open_until_ns = open ? from + window : 0,
               .likely_open_ns = from + period};
  };
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

// --- Pace ---------------------------------------------------------------------------------------
TEST(Pace, TimeThatTwoProcessesShareIsCountedOnce) {
  region::Pace pace{};
  region::CountUse(pace, 50, kStart, kStart + 10 * kMs);
  region::CountUse(pace, 50, kStart + 4 * kMs, kStart + 12 * kMs);
  region::CountUse(pace, 50, kStart + 2 * kMs, kStart + 9 * kMs);
  EXPECT_EQ(pace.used_ns.load(), 12 * kMs);
}

TEST(Pace, UseIsPaidBackAtTheRateOfTheShare) {
  region::Pace pace{};
  const std::int64_t before = region::CreditNs(pace, 25, kStart);
  region::CountUse(pace, 25, kStart, kStart + 10 * kMs);
  EXPECT_EQ(region::CreditNs(pace, 25, kStart + 10 * kMs),
            before + static_cast<std::int64_t>(10 * kMs) - static_cast<std::int64_t>(40 * kMs));
}

TEST(Pace, CreditOfAnIdleContainerEnds) {
  region::Pace pace{};
  region::CountUse(pace, 50, kStart, kStart + kMs);
  EXPECT_EQ(region::CreditNs(pace, 50, kStart + 1000 * kSecond),
            static_cast<std::int64_t>(region::PauseNs(50) + region::kBurstNs));
}

TEST(Pace, AScribbledOneHoldsNobodyUp) {
  region::Pace pace{};
  pace.paid_until_ns = ~std::uint64_t{0};
  pace.counted_until_ns = ~std::uint64_t{0};
  EXPECT_GT(region::CreditNs(pace, 30, kStart), 0);
  region::CountUse(pace, 30, kStart, kStart + 10 * kMs);
  EXPECT_EQ(pace.used_ns.load(), 10 * kMs);
  EXPECT_LT(pace.paid_until_ns.load(), kStart + kSecond);
}

TEST(Pace, NoDebtIsLongerThanAMinute) {
  region::Pace pace{};
  region::CountUse(pace, 1, kStart, kStart + 100 * kSecond);
  EXPECT_EQ(region::CreditNs(pace, 1, kStart + 100 * kSecond),
            -static_cast<std::int64_t>(region::kMostDebtNs));
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
}  // namespace tessera
