#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "interceptor/pacer.h"

/// The pacer in virtual time: a GPU with one queue, programs that launch, and the thread that does
/// what the pacer says.
namespace tessera::test {

using Kind = Pacer::Step::Kind;
inline constexpr std::uint64_t kUs = 1'000, kMs = 1'000'000, kSecond = 1'000'000'000;
inline constexpr std::uint64_t kStart = 1000 * kSecond;

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
inline double RunFor(std::uint64_t length, Gpu& gpu, std::vector<Process*> processes,
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

inline double ShareOf(std::uint32_t percent, Program program, std::uint64_t seconds = 10,
                      std::uint64_t latency_ns = 20 * kUs) {
  Gpu gpu;
  region::Pace pace{};
  Process process(gpu, pace, percent, program);
  process.latency_ns = latency_ns;
  return RunFor(seconds * kSecond, gpu, {&process});
}

/// The agent lets it in beside others.
inline Law InRounds(std::uint32_t percent) {
  return {.percent = percent, .arbitrated = true, .open_until_ns = region::kOpenInRounds};
}

/// The first `window` of each `period` are the container's.
inline Law InWindows(std::uint32_t percent, std::uint64_t now, std::uint64_t window,
                     std::uint64_t period) {
  const std::uint64_t from = (now - kStart) / period * period + kStart;
  return {.percent = percent,
          .arbitrated = true,
          .open_until_ns = now < from + window ? from + window : 0,
          .likely_open_ns = from + period};
}

}  // namespace tessera::test
