#include "agent/arbiter/slicing.h"

#include <vector>

#include <gmock/gmock.h>

namespace tessera::agent {
namespace {

using region::Policy;
constexpr std::uint64_t kMs = 1'000'000;

/// One that never rests, and one whose work is brief, half of the GPU for each.
class Slicing : public ::testing::Test {
 protected:
  Slicing() {
    for (Tenant* tenant : {&greedy_, &brief_}) {
      tenant->seen = {.policy = Policy::kBurstShare, .percent = 50, .attached = true};
      tenant->last_active_ns = now_;
      tenant->share.weight = 50;
    }
    greedy_.seen.presses = true;
    greedy_.seen.occupies_permille = 1000;
    brief_.seen.occupies_permille = 200;
    for (int i = 0; i < 3; ++i) Work(2 * kMs);
  }
  /// The brief one, until now.
  void Work(std::uint64_t ns) {
    brief_.pauses.Open(now_ - ns);
    brief_.pauses.Look(now_, false);
    brief_.pauses.GiveUp();
  }
  bool MayBegin() { return SlicesServe(rows_, now_, false); }
  bool MayGoOn() { return SlicesServe(rows_, now_, true); }
  void Pass(std::uint64_t ns) {
    now_ += ns;
    brief_.last_active_ns = greedy_.last_active_ns = now_;
  }
  void Share(Tenant& tenant, Policy policy, int percent) {
    tenant.seen.policy = policy;
    tenant.seen.percent = percent;
    tenant.share.weight = percent > 0 ? percent : 1;
  }

  std::uint64_t now_ = 1000 * kMs;
  Tenant greedy_, brief_, third_;
  std::vector<Tenant*> rows_{&brief_, &greedy_};
};

TEST_F(Slicing, ServesWhoComesForLittle) {
  EXPECT_TRUE(MayBegin());
  EXPECT_TRUE(MayGoOn());
}

TEST_F(Slicing, DoesNotServeWorkThatIsLongOrNotKnown) {
  Work(3 * kMs);
  EXPECT_FALSE(MayBegin());
  brief_.pauses = {};
  EXPECT_FALSE(MayGoOn());
}

TEST_F(Slicing, DoesNotServeWhoWorksInItsWindowsAsIfAlone) {
  brief_.seen.occupies_permille = 360;
  Share(brief_, Policy::kBurstShare, 60);
  Share(greedy_, Policy::kBurstShare, 40);
  EXPECT_TRUE(MayBegin());
  brief_.seen.occupies_permille = 370;
  EXPECT_FALSE(MayBegin());
  EXPECT_TRUE(MayGoOn()) << "with slices all takes longer";
}

TEST_F(Slicing, IsWatchedAndEndsWithTheFirstLongWork) {
  for (int i = 0; i < 1000; ++i) {
    brief_.seen.running = i % 10 < 6;
    WatchSlices(rows_, now_, 2);
    Pass(kMs);
    ASSERT_TRUE(MayGoOn()) << i;
  }
  brief_.seen.running = true;
  for (int i = 0; i < 11; ++i, Pass(kMs)) WatchSlices(rows_, now_, 2);
  EXPECT_FALSE(MayGoOn());
}

TEST_F(Slicing, BreaksOfTheWatchAreNoLongWork) {
  brief_.seen.running = true;
  for (int i = 0; i < 5; ++i, Pass(1000 * kMs)) WatchSlices(rows_, now_, 2);
  EXPECT_TRUE(MayGoOn());
}

TEST_F(Slicing, IsForgottenOfWhoDoesNotCome) {
  Pass(59'000 * kMs);
  EXPECT_TRUE(MayGoOn());
  Pass(2'000 * kMs);
  EXPECT_FALSE(MayGoOn());
}

TEST_F(Slicing, DoesNotServeTwoThatNeverRest) {
  brief_.seen.presses = true;
  EXPECT_FALSE(MayBegin());
  brief_.doubts = 1;
  EXPECT_TRUE(MayBegin()) << "who is not believed does not press";
}

TEST_F(Slicing, LeavesTheGreedyOneItsShareWhateverOthersSay) {
  brief_.seen.occupies_permille = 0;
  Share(brief_, Policy::kBurstShare, 40);
  Share(greedy_, Policy::kBurstShare, 60);
  EXPECT_FALSE(MayBegin());
  EXPECT_FALSE(MayGoOn());
  Share(brief_, Policy::kBurstShare, 60);
  Share(greedy_, Policy::kBurstShare, 40);
  EXPECT_TRUE(MayBegin());
}

TEST_F(Slicing, KeepsWhatComesNowAndThenWithinItsShare) {
  third_ = brief_;
  rows_.push_back(&third_);
  Share(brief_, Policy::kBurstShare, 20);
  Share(greedy_, Policy::kBurstShare, 30);
  Share(third_, Policy::kBurstShare, 50);
  EXPECT_FALSE(MayBegin()) << "of 20 percent of the time it had all, and would come oftener";
  EXPECT_TRUE(MayGoOn()) << "of 20 percent of the time it had half, at the most";
  brief_.seen.occupies_permille = 410;
  EXPECT_FALSE(MayGoOn());
  brief_.seen.occupies_permille = 130;
  EXPECT_TRUE(MayBegin());
}

TEST_F(Slicing, HoldsNobodyByACapForTimeThatIsNotItsOwn) {
  Share(brief_, Policy::kFixedShare, 50);
  EXPECT_TRUE(MayBegin());
  brief_.seen.occupies_permille = 260;
  EXPECT_FALSE(MayBegin()) << "with open gates it would have no more than 25";
  brief_.seen.occupies_permille = 200;
  Share(greedy_, Policy::kFixedShare, 50);
  EXPECT_FALSE(MayBegin());
  Share(greedy_, Policy::kFixedShare, 100);
  greedy_.share.weight = 50;
  EXPECT_TRUE(MayBegin()) << "all of it is no cap";
}

TEST_F(Slicing, LeavesBestEffortTheRestAndNoMore) {
  Share(greedy_, Policy::kBestEffort, 0);
  EXPECT_TRUE(MayBegin()) << "the guaranteed one waits less";
  Share(brief_, Policy::kBestEffort, 0);
  EXPECT_TRUE(MayBegin()) << "they are equals";
  Share(greedy_, Policy::kBurstShare, 50);
  EXPECT_FALSE(MayBegin()) << "it would take from the guaranteed one";
}

TEST_F(Slicing, GoesByThoseThatWereSeenLately) {
  third_.seen = {.policy = Policy::kFixedShare, .percent = 20, .attached = true, .presses = true};
  third_.share.weight = 20;
  rows_.push_back(&third_);
  EXPECT_TRUE(MayBegin()) << "it has never wanted anything";
  third_.last_active_ns = now_;
  EXPECT_FALSE(MayBegin());
  Pass(3'000 * kMs);
  EXPECT_TRUE(MayBegin());
  third_.last_active_ns = now_;
  third_.seen.attached = false;
  EXPECT_TRUE(MayBegin());
}

}  // namespace
}  // namespace tessera::agent
