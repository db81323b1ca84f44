// What part of the time that containers count is work, by what the GPU was busy.
#include "agent/arbiter/calibration.h"

#include <gmock/gmock.h>

namespace tessera::agent {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

/// Containers whose launches are under way for so many percent of the time.
class Counting {
 public:
  explicit Counting(std::vector<unsigned> percents) : percents_(std::move(percents)) {
    used_.resize(percents_.size());
    told_.resize(percents_.size(), region::kAllWork);
    rates_.resize(percents_.size(), 100);
    launches_.resize(percents_.size());
    shallow_.resize(percents_.size(), 100);
  }

  /// For `ns`, while the GPU is busy so many percent of the time; looks each 10 ms.
  void Pass(std::uint64_t ns, unsigned busy, bool windows = false) {
    for (; ns > 0; ns -= 10 * kMs) {
      now_ += 10 * kMs;
      std::vector<Calibration::Count> counts;
      for (std::size_t i = 0; i < used_.size(); ++i) {
        used_[i] += 10 * kMs * percents_[i] / 100 * told_[i] / 1000;
        launches_[i] += 10 * rates_[i];
        counts.push_back({i + 1, used_[i], launches_[i], launches_[i] * shallow_[i] / 100});
      }
      calibration_.Look(now_, counts, windows);
      for (std::size_t i = 0; i < used_.size(); ++i) told_[i] = calibration_.Tell(i + 1, windows);
      busy_ns_ += 10 * kMs * busy / 100;
      if (now_ % (200 * kMs) == 0 && heard_) Sample();
    }
  }
  /// The agent, and what it hears then is of an idle GPU.
  void Sleeps(std::uint64_t ns) {
    if (last_.to_ns != 0) calibration_.Take(last_);
    for (std::size_t i = 0; i < used_.size(); ++i) used_[i] += ns * percents_[i] / 100;
    now_ += ns;
    for (std::uint64_t at = now_ - ns; at < now_; at += 200 * kMs) {
      calibration_.Take({at, at + 200 * kMs, 0});
    }
    last_ = {};
  }
  void Count(std::size_t i, unsigned percent) { percents_[i] = percent; }
  /// Launches in each millisecond; 100 if nothing is said.
  void Launches(std::size_t i, std::uint64_t rate) { rates_[i] = rate; }
  /// So many percent of its launches end with little more queued; all if nothing is said.
  void Shallow(std::size_t i, unsigned percent) { shallow_[i] = percent; }
  void NobodyTellsHowBusyItIs(bool silent) { heard_ = !silent; }
  void Says(std::size_t i, std::uint64_t used_ns) { used_[i] = used_ns; }
  void BeginsAnew(std::size_t i) { used_[i] = 0; }
  unsigned Permille(std::size_t i) const { return told_[i]; }
  Calibration& calibration() { return calibration_; }
  std::uint64_t now() const { return now_; }

 private:
  /// Whole percents, and a sample is heard of at the next one.
  void Sample() {
    if (last_.to_ns != 0) calibration_.Take(last_);
    const std::uint64_t percent = busy_ns_ * 100 / (200 * kMs);
    last_ = {now_ - 200 * kMs, now_, static_cast<std::uint32_t>(10 * percent)};
    busy_ns_ = 0;
  }

  Calibration calibration_;
  std::vector<unsigned> percents_;
  std::vector<std::uint64_t> used_;
  std::vector<std::uint32_t> told_;
  std::vector<std::uint64_t> rates_;
  std::vector<std::uint64_t> launches_;
  std::vector<std::uint64_t> shallow_;  ///< percent
  std::uint64_t now_ = 10'000 * kMs;
  std::uint64_t busy_ns_ = 0;
  bool heard_ = true;
  BusySample last_;
};

TEST(Calibration, NothingIsCorrectedBeforeAnythingIsKnown) {
  Counting one({50});
  EXPECT_EQ(one.Permille(0), 1000U);
  one.Pass(300 * kMs, 25);
  EXPECT_EQ(one.Permille(0), 1000U);
  EXPECT_EQ(one.calibration().Tell(77, false), 1000U);
}

TEST(Calibration, OneAloneCountsWhatTheGpuWorks) {
  Counting one({50});
  one.Pass(2'000 * kMs, 25);
  EXPECT_NEAR(one.Permille(0), 500, 25);
  one.Pass(20'000 * kMs, 25);
  EXPECT_NEAR(one.Permille(0), 505, 5) << "its own correction does not pile up";
}

TEST(Calibration, WhoCountsRightIsLeftAlone) {
  for (const unsigned percent : {10, 50, 99}) {
    Counting one({percent});
    one.Pass(5'000 * kMs, percent);
    EXPECT_EQ(one.Permille(0), 1000U) << percent;
  }
}

TEST(Calibration, AFewPercentTooMuchAreCorrected) {
  Counting one({50});  // training that fills its queue anew after each pause
  one.Pass(10'000 * kMs, 48);
  EXPECT_NEAR(one.Permille(0), 965, 5);
}

TEST(Calibration, ASideOfManyIsDividedByWhatTheyCount) {
  Counting two({60, 30});
  two.Launches(1, 50);
  two.Pass(5'000 * kMs, 45);
  EXPECT_NEAR(two.Permille(0), 510, 20);
  EXPECT_NEAR(two.Permille(1), 510, 20);
}

TEST(Calibration, WhatIsTooMuchIsOfThoseThatLaunchMost) {
  Counting two({60, 50});
  two.Launches(0, 1);   // kernels of 0.6 ms: all of its 60 percent is work
  two.Launches(1, 40);  // of 4 us: 16 percent
  two.Pass(5'000 * kMs, 76);
  EXPECT_GE(two.Permille(0), 980U);
  EXPECT_NEAR(two.Permille(1), 340, 30);
}

TEST(Calibration, WhatIsTooMuchIsNotOfThoseThatQueue) {
  Counting two({50, 50});
  two.Launches(0, 10);  // kernels of 50 us, one behind the other
  two.Shallow(0, 0);
  two.Launches(1, 30);
  two.Pass(5'000 * kMs, 80);
  EXPECT_GE(two.Permille(0), 970U);
  EXPECT_NEAR(two.Permille(1), 615, 15);
}

TEST(Calibration, OneAloneIsCorrectedThoughItQueues) {
  Counting one({50});
  one.Shallow(0, 0);
  one.Launches(0, 20);
  one.Pass(5'000 * kMs, 36);
  EXPECT_NEAR(one.Permille(0), 720, 30);
}

TEST(Calibration, ANeighbourThatHardlyCountsChangesNothing) {
  Counting two({50, 1});
  two.Shallow(0, 0);
  two.Launches(0, 20);
  two.Pass(5'000 * kMs, 37);
  EXPECT_NEAR(two.Permille(0), 730, 30) << "as alone";
}

TEST(Calibration, WindowsAreNoLongerThanTheTime) {
  Counting two({50, 100});  // the second tells of more than it can have had
  two.Pass(5'000 * kMs, 100, true);
  EXPECT_EQ(two.Permille(0), 1000U);
}

TEST(Calibration, MoreShallowLaunchesThanThereWereAreNone) {
  Counting two({50, 50});
  two.Shallow(0, 100'000'000);
  two.Pass(5'000 * kMs, 60);
  EXPECT_NEAR(two.Permille(1), 610, 30) << "its own part";
}

TEST(Calibration, TwoThatKeepTheGpuBusyCountTheSameTimeAndAreNotCorrected) {
  Counting two({100, 100});
  for (const std::size_t i : {0, 1}) two.Launches(i, 1);
  two.Pass(5'000 * kMs, 100);
  EXPECT_EQ(two.Permille(0), 1000U);
  EXPECT_EQ(two.Permille(1), 1000U);
}

TEST(Calibration, WhoTellsOfNoLaunchesIsNotCorrected) {
  Counting one({50});  // a library of before
  one.Launches(0, 0);
  one.Pass(5'000 * kMs, 25);
  EXPECT_EQ(one.Permille(0), 1000U);
}

TEST(Calibration, WhoTurnsToLongKernelsIsCountedInFullSoon) {
  Counting one({60});
  one.Pass(10'000 * kMs, 20);
  EXPECT_LE(one.Permille(0), 400U);
  one.Count(0, 100);
  one.Pass(800 * kMs, 100);
  EXPECT_GE(one.Permille(0), 950U);
}

TEST(Calibration, OneSampleOfStrangersWorkIsNobodys) {
  Counting one({60});
  one.Pass(10'000 * kMs, 20);
  for (int i = 0; i < 3; ++i) {
    one.Pass(200 * kMs, 100);
    one.Pass(2'000 * kMs, 20);
    EXPECT_LE(one.Permille(0), 400U);
  }
}

TEST(Calibration, SamplesWhoseEndsFallBetweenLongKernelsAreRightOnAverage) {
  Counting one({50});
  for (int i = 0; i < 20; ++i) {
    one.Pass(200 * kMs, 65);
    one.Pass(200 * kMs, 35);
  }
  EXPECT_EQ(one.Permille(0), 1000U);
}

TEST(Calibration, WhatIsLearnedInWindowsIsToldThere) {
  Counting two({80, 80});
  two.Pass(3'000 * kMs, 100);  // side by side each counts the other's time
  EXPECT_NEAR(two.Permille(0), 630, 20);
  two.Pass(100 * kMs, 40, true);
  EXPECT_EQ(two.Permille(0), 1000U) << "nothing is known of windows";
  for (const std::size_t i : {0, 1}) two.Count(i, 40);
  two.Pass(3'000 * kMs, 72, true);
  EXPECT_NEAR(two.Permille(0), 905, 15);
  for (const std::size_t i : {0, 1}) two.Count(i, 80);
  two.Pass(20 * kMs, 100);
  EXPECT_NEAR(two.Permille(0), 630, 20) << "what was learned is still known";
}

TEST(Calibration, NothingIsLearnedOfATimeInWhichNobodyLooked) {
  Counting one({50});
  one.Pass(2'000 * kMs, 50);
  ASSERT_EQ(one.Permille(0), 1000U);
  one.Sleeps(600 * kMs);
  one.Pass(200 * kMs, 50);
  EXPECT_EQ(one.Permille(0), 1000U) << "its samples say that the GPU was idle";
}

TEST(Calibration, WhatNobodyCanCheckAnyMoreIsNotTold) {
  Counting one({60});
  one.Pass(10'000 * kMs, 20);
  EXPECT_LE(one.Permille(0), 400U);
  one.NobodyTellsHowBusyItIs(true);
  one.Pass(1'000 * kMs, 20);
  EXPECT_LE(one.Permille(0), 400U) << "samples may be late";
  one.Count(0, 100);
  one.Pass(2'000 * kMs, 100);
  EXPECT_EQ(one.Permille(0), 1000U) << "a cap would be three times what it is";
  one.Count(0, 60);
  one.NobodyTellsHowBusyItIs(false);
  one.Pass(2'000 * kMs, 20);
  EXPECT_LE(one.Permille(0), 400U);
}

TEST(Calibration, CountsThatLeapAgainAndAgainNeverMakeASumGoBack) {
  Counting two({50, 50});
  two.Pass(2'000 * kMs, 50);
  std::uint64_t last = two.calibration().CountedNs(2);
  for (int i = 0; i < 20; ++i) {
    two.Says(1, i % 2 == 0 ? UINT64_MAX - 100'000 * kMs : 0);
    two.Pass(100 * kMs, 50);
    EXPECT_GE(two.calibration().CountedNs(2), last);
    last = two.calibration().CountedNs(2);
  }
  EXPECT_NEAR(static_cast<double>(two.calibration().CountedNs(1)), 2e9, 2e7);
}

TEST(Calibration, WhatACountIsWithoutACorrectionIsKnown) {
  Counting one({50});
  one.Pass(10'000 * kMs, 25);
  EXPECT_NEAR(static_cast<double>(one.calibration().CountedNs(1)), 5e9, 5e7);
  EXPECT_EQ(one.calibration().CountedNs(77), 0U);
}

TEST(Calibration, SamplesThatLieAreNotTaken) {
  Counting one({60});
  one.Pass(1'200 * kMs, 60);
  const std::uint64_t now = one.now();
  for (int i = 0; i < 50; ++i) {
    one.calibration().Take({now + 200 * kMs, now + 400 * kMs, 10});    // of the future
    one.calibration().Take({now - 100 * kMs, now - 300 * kMs, 10});    // backwards
    one.calibration().Take({0, now, 10});                              // from before we looked
    one.calibration().Take({now - 1'000 * kMs, now - 900 * kMs, 10});  // taken already
    one.calibration().Take({now, now, 10});
    one.calibration().Take({now - 100 * kMs, now, 4'000'000'000});
  }
  EXPECT_EQ(one.Permille(0), 1000U);
}

TEST(Calibration, AGpuMayBeFullUntilItWasNotForASecond) {
  Counting one({50});
  EXPECT_TRUE(one.calibration().MayBeFull(one.now()));
  one.Pass(2'000 * kMs, 100);
  EXPECT_TRUE(one.calibration().MayBeFull(one.now()));
  one.Pass(900 * kMs, 40);
  EXPECT_TRUE(one.calibration().MayBeFull(one.now()));
  one.Pass(1'000 * kMs, 40);
  EXPECT_FALSE(one.calibration().MayBeFull(one.now()));
  EXPECT_TRUE(one.calibration().MayBeFull(one.now() + 2'000 * kMs)) << "nobody tells any more";
  one.Pass(500 * kMs, 90);
  EXPECT_TRUE(one.calibration().MayBeFull(one.now()));
}

TEST(Calibration, AnIdleGpuTeachesNothing) {
  Counting one({2});
  one.Pass(5'000 * kMs, 0);
  EXPECT_EQ(one.Permille(0), 1000U);
}

TEST(Calibration, AScribblerFreesNobodyOfMoreThanItsOwnLaunchesCost) {
  Counting two({50, 100'000});
  two.Launches(0, 1);
  two.Launches(1, 100'000'000);
  two.Pass(5'000 * kMs, 60);
  EXPECT_GE(two.Permille(0), 970U);
}

TEST(Calibration, ARegionThatBeganAnewCountsFromThenOn) {
  Counting one({50});
  one.Pass(2'000 * kMs, 25);
  one.BeginsAnew(0);
  one.Pass(2'000 * kMs, 25);
  EXPECT_NEAR(one.Permille(0), 510, 30);
}

TEST(Calibration, SomeWorkIsAlwaysCounted) {
  Counting one({100});
  one.Pass(10'000 * kMs, 0);
  EXPECT_EQ(one.Permille(0), region::kLeastWork);
}

}  // namespace
}  // namespace tessera::agent
