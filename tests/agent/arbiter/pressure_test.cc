// Who keeps the GPU busy, and when that calls for windows.
#include "agent/arbiter/pressure.h"

#include <utility>

#include <gmock/gmock.h>

#include "agent/arbiter/mode.h"

namespace tessera::agent {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

/// A container that is looked at each 10 ms.
class Watched {
 public:
  /// It runs for `ns` and counts so many percent of that.
  bool Runs(std::uint64_t ns, unsigned percent) { return Pass(ns, percent, {.running = true}); }
  bool Waits(std::uint64_t ns) { return Pass(ns, 0, {.waiting = true}); }
  bool IsHeld(std::uint64_t ns) { return Pass(ns, 0, {.waiting = true, .held = true}); }
  bool Rests(std::uint64_t ns) { return Pass(ns, 0, {}); }
  bool IsFree(std::uint64_t ns) { return Pass(ns, 0, {.running = true, .counted = false}); }
  /// Counted at once, when it has ended.
  bool RunsOneKernel(std::uint64_t ns) {
    Runs(ns, 0);
    used_ += ns;
    return Runs(10 * kMs, 100);
  }
  void TheGpuIsFull(bool full) { full_ = full; }
  void ForgetsWhatItUsed() { used_ = 0; }
  void ForgetsThatItWaited() { throttled_ = 0; }
  void HasProcesses(unsigned count) { processes_ = count; }
  void IsNotSeenFor(std::uint64_t ns) { now_ += ns; }
  std::uint32_t Occupies() const { return pressure_.occupies_permille(); }

 private:
  bool Pass(std::uint64_t ns, unsigned percent, Pressure::Look look) {
    for (; ns > 0; ns -= 10 * kMs) {
      now_ += 10 * kMs;
      used_ += 10 * kMs * percent / 100;
      look.now_ns = now_;
      look.used_ns = used_;
      if (look.waiting) waited_ += 10 * kMs;
      if (!look.waiting) throttled_ += processes_ * std::exchange(waited_, 0);
      look.throttled_ns = throttled_;
      look.full = full_;
      pressure_.Take(look);
    }
    return pressure_.presses();
  }

  Pressure pressure_;
  std::uint64_t now_ = 5'000 * kMs;
  std::uint64_t used_ = 777;
  std::uint64_t waited_ = 0;
  std::uint64_t throttled_ = 0;
  bool full_ = true;
  unsigned processes_ = 1;
};

TEST(Pressure, TellsHowMuchOfTheTimeWorkIsUnderWay) {
  Watched one;
  EXPECT_EQ(one.Occupies(), 1000U) << "taken for granted";
  one.Runs(10 * kMs, 100);
  for (int i = 0; i < 3; ++i) {
    one.Runs(20 * kMs, 100);
    one.Rests(30 * kMs);
  }
  EXPECT_NEAR(one.Occupies(), 400, 150) << "at once";
  for (int i = 0; i < 100; ++i) {
    one.Runs(20 * kMs, 100);
    one.Rests(30 * kMs);
  }
  EXPECT_NEAR(one.Occupies(), 400, 60);
  one.Rests(3'000 * kMs);
  EXPECT_LE(one.Occupies(), 10U);
}

TEST(Pressure, WhoHidesItsUseOccupiesWhatItIsSeenToRun) {
  Watched hides;
  for (int i = 0; i < 100; ++i) {
    hides.Runs(20 * kMs, 0);
    hides.Rests(30 * kMs);
  }
  EXPECT_NEAR(hides.Occupies(), 400, 100);
}

TEST(Pressure, WhoTakesBackThatItWaitedIsJudgedAllTheSame) {
  Watched one;
  one.HasProcesses(3);
  for (int i = 0; i < 20; ++i) {
    one.Waits(50 * kMs);
    one.Runs(100 * kMs, 20);
    one.ForgetsThatItWaited();
  }
  EXPECT_FALSE(one.Runs(300 * kMs, 20));
  for (int i = 0; i < 20; ++i) {
    one.Waits(20 * kMs);
    one.Runs(50 * kMs, 100);
    one.ForgetsThatItWaited();
  }
  EXPECT_TRUE(one.Runs(100 * kMs, 100));
}

TEST(Pressure, OfWhomNothingIsKnownItIsTakenForGranted) {
  Watched one;
  EXPECT_TRUE(one.Runs(90 * kMs, 5));
  EXPECT_FALSE(one.Runs(30 * kMs, 5));
}

TEST(Pressure, WhoUsesAllItMayPressesAfterATenthOfASecond) {
  Watched one;
  EXPECT_FALSE(one.Runs(120 * kMs, 5));
  EXPECT_FALSE(one.Runs(80 * kMs, 100));
  EXPECT_TRUE(one.Runs(40 * kMs, 100));
}

TEST(Pressure, WhoWaitsForItsCpuDoesNot) {
  Watched one;
  for (const unsigned percent : {5, 30, 60, 80}) EXPECT_FALSE(one.Runs(1'000 * kMs, percent));
}

TEST(Pressure, ItTakesLessToGoOnPressingThanToBegin) {
  Watched one;
  one.Runs(120 * kMs, 5);
  EXPECT_FALSE(one.Runs(500 * kMs, 80));
  EXPECT_TRUE(one.Runs(500 * kMs, 90));
  EXPECT_TRUE(one.Runs(500 * kMs, 80));
  EXPECT_FALSE(one.Runs(500 * kMs, 70));
}

TEST(Pressure, TimeThatItWaitsForUsIsNotItsOwn) {
  Watched capped;  // at 20 percent
  bool presses = false;
  for (int i = 0; i < 20; ++i) {
    capped.Runs(20 * kMs, 100);
    presses = capped.Waits(80 * kMs);
  }
  EXPECT_TRUE(presses);
  Watched thinks;
  for (int i = 0; i < 20; ++i) {
    thinks.Runs(20 * kMs, 100);
    presses = thinks.Rests(80 * kMs);
  }
  EXPECT_FALSE(presses);
}

TEST(Pressure, ProcessesThatWaitSideBySideAreNotThatMuchBusier) {
  for (const unsigned percent : {10, 60, 100}) {
    Watched one;
    one.HasProcesses(4);
    bool presses = false;
    for (int i = 0; i < 20; ++i) {
      one.Waits(100 * kMs);
      presses = one.Runs(100 * kMs, percent);
    }
    EXPECT_EQ(presses, percent == 100) << percent;
  }
}

TEST(Pressure, LongKernelsPressWhileTheyRunAndAfter) {
  Watched one;
  EXPECT_TRUE(one.Runs(500 * kMs, 0)) << "nothing of it has ended";
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(one.RunsOneKernel(300 * kMs)) << i;
  EXPECT_FALSE(one.Rests(1'000 * kMs));
}

TEST(Pressure, WorkThatNeverEndsIsNoLongerBelieved) {
  Watched one;
  EXPECT_TRUE(one.Runs(9'000 * kMs, 0));
  EXPECT_FALSE(one.Runs(2'000 * kMs, 0)) << "it is stopped, or lies, or no window would hold it";
  EXPECT_TRUE(one.RunsOneKernel(9'000 * kMs)) << "it has ended";
  EXPECT_TRUE(one.Runs(9'000 * kMs, 0));
}

TEST(Pressure, OnAGpuThatHasTimeLeftOnlyThoseWhomTheirShareHolds) {
  Watched one;
  one.TheGpuIsFull(false);
  EXPECT_FALSE(one.Runs(500 * kMs, 100));
  bool presses = false;
  for (int i = 0; i < 20; ++i) {
    one.Runs(20 * kMs, 100);
    presses = one.IsHeld(20 * kMs);
  }
  EXPECT_TRUE(presses);
  EXPECT_FALSE(one.Runs(500 * kMs, 100));
  one.TheGpuIsFull(true);
  EXPECT_TRUE(one.Runs(500 * kMs, 100));
}

TEST(Pressure, WhatNobodyCountsTellsNothing) {
  Watched one;
  one.Runs(500 * kMs, 5);
  EXPECT_FALSE(one.IsFree(2'000 * kMs));
  EXPECT_TRUE(one.Runs(200 * kMs, 100));
  EXPECT_TRUE(one.IsFree(2'000 * kMs)) << "what is known stays";
}

TEST(Pressure, ARegionThatBeganAnewAndAPauseOfOursTellNothing) {
  Watched one;
  one.Runs(110 * kMs, 5);
  one.Runs(80 * kMs, 100);
  one.ForgetsWhatItUsed();
  EXPECT_FALSE(one.Runs(90 * kMs, 30));
  one.IsNotSeenFor(3'000 * kMs);
  EXPECT_FALSE(one.Runs(90 * kMs, 30));
  EXPECT_TRUE(one.Runs(300 * kMs, 100));
}

class Modes : public ::testing::Test {
 protected:
  ArbiterMode After(std::uint64_t ns) {
    now_ += ns;
    return modes_.Choose(now_, seen_);
  }
  ModeChooser modes_;
  ModeChooser::Seen seen_{.has_shares = true, .lately = 2, .contending = 2, .pressing = true};
  std::uint64_t now_ = 1'000 * kMs;
};

TEST_F(Modes, OneAloneAndThoseWithoutSharesAreFree) {
  seen_.lately = 1;
  EXPECT_EQ(After(kMs), ArbiterMode::kFree);
  seen_ = {.has_shares = false, .lately = 3, .contending = 3, .pressing = true};
  EXPECT_EQ(After(kMs), ArbiterMode::kFree);
}

TEST_F(Modes, WindowsTakeTwoOfWhomOnePresses) {
  seen_.pressing = false;
  EXPECT_EQ(After(kMs), ArbiterMode::kRounds);
  seen_.pressing = true;
  EXPECT_EQ(After(kMs), ArbiterMode::kWindows);
  seen_.contending = 1;
  EXPECT_EQ(After(kMs), ArbiterMode::kRounds);
}

TEST_F(Modes, WindowsEndWhenNobodyHasPressedForAWhile) {
  After(kMs);
  seen_.pressing = false;
  EXPECT_EQ(After(kCalmNs - kMs), ArbiterMode::kWindows);
  EXPECT_EQ(After(2 * kMs), ArbiterMode::kRounds);
}

TEST_F(Modes, WhereOpenGatesDoNotWorkTheyAreTriedLessAndLess) {
  std::uint64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    seen_.pressing = true;
    EXPECT_EQ(After(100 * kMs), ArbiterMode::kWindows);
    seen_.pressing = false;
    std::uint64_t calm = 0;
    while (After(100 * kMs) == ArbiterMode::kWindows) calm += 100 * kMs;
    EXPECT_GE(calm, last);
    EXPECT_LE(calm, kMostCalmNs);
    last = calm;
  }
  EXPECT_GE(last, kMostCalmNs - 200 * kMs);
  // Quiet for long enough, and it is as in the beginning.
  After(kRelapseNs);
  seen_.pressing = true;
  After(kMs);
  seen_.pressing = false;
  EXPECT_EQ(After(kCalmNs), ArbiterMode::kRounds);
}

}  // namespace
}  // namespace tessera::agent
