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
  bool Serve(bool windows) { return SlicesServe(rows_, now_, windows); }
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
  EXPECT_TRUE(Serve(true));
  EXPECT_TRUE(Serve(false));
}

TEST_F(Slicing, DoesNotServeWorkThatIsLongOrNotKnown) {
  Work(3 * kMs);
  EXPECT_FALSE(Serve(true));
  brief_.pauses = {};
  EXPECT_FALSE(Serve(false));
}

TEST_F(Slicing, IsForgottenUnlessWindowsShowItAgain) {
  now_ += 59'000 * kMs;
  brief_.last_active_ns = greedy_.last_active_ns = now_;
  EXPECT_TRUE(Serve(false));
  now_ += 2'000 * kMs;
  brief_.last_active_ns = greedy_.last_active_ns = now_;
  EXPECT_FALSE(Serve(false));
}

TEST_F(Slicing, DoesNotServeTwoThatNeverRest) {
  brief_.seen.presses = true;
  EXPECT_FALSE(Serve(true));
  brief_.doubts = 1;
  EXPECT_TRUE(Serve(true)) << "who is not believed does not press";
}

TEST_F(Slicing, KeepsWhatComesNowAndThenWithinItsShare) {
  Share(brief_, Policy::kBurstShare, 10);
  Share(greedy_, Policy::kBurstShare, 90);
  EXPECT_FALSE(Serve(true)) << "of 20 percent of the time it had all, and would come oftener";
  EXPECT_TRUE(Serve(false)) << "of 20 percent of the time it had half";
  brief_.seen.occupies_permille = 210;
  EXPECT_FALSE(Serve(false));
  brief_.seen.occupies_permille = 60;
  EXPECT_TRUE(Serve(true));
}

TEST_F(Slicing, HoldsNobodyByACapForTimeThatIsNotItsOwn) {
  Share(brief_, Policy::kFixedShare, 50);
  EXPECT_TRUE(Serve(true));
  brief_.seen.occupies_permille = 260;
  EXPECT_FALSE(Serve(true)) << "with open gates it would have no more than 25";
  brief_.seen.occupies_permille = 200;
  Share(greedy_, Policy::kFixedShare, 50);
  EXPECT_FALSE(Serve(true));
  Share(greedy_, Policy::kFixedShare, 100);
  EXPECT_TRUE(Serve(true)) << "all of it is no cap";
}

TEST_F(Slicing, LeavesBestEffortTheRestAndNoMore) {
  Share(greedy_, Policy::kBestEffort, 0);
  EXPECT_TRUE(Serve(true)) << "the guaranteed one waits less";
  Share(brief_, Policy::kBestEffort, 0);
  EXPECT_TRUE(Serve(true)) << "they are equals";
  Share(greedy_, Policy::kBurstShare, 50);
  EXPECT_FALSE(Serve(true)) << "it would take from the guaranteed one";
}

TEST_F(Slicing, GoesByThoseThatWereSeenLately) {
  third_.seen = {.policy = Policy::kFixedShare, .percent = 20, .attached = true, .presses = true};
  third_.share.weight = 20;
  rows_.push_back(&third_);
  EXPECT_TRUE(Serve(true)) << "it has never wanted anything";
  third_.last_active_ns = now_;
  EXPECT_FALSE(Serve(true));
  now_ += 3'000 * kMs;
  brief_.last_active_ns = greedy_.last_active_ns = now_;
  EXPECT_TRUE(Serve(true));
  third_.last_active_ns = now_;
  third_.seen.attached = false;
  EXPECT_TRUE(Serve(true));
}

}  // namespace
}  // namespace tessera::agent
