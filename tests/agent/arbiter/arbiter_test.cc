// The arbiter's rules, one by one, step by step.
#include "tests/agent/arbiter/arbiter_rules.h"

namespace tessera::agent::test {
namespace {

TEST_F(ArbiterRules, WhereNobodyHasAShareThereIsNothingToArbitrate) {
  tenants_ = {Burst(1, 0), Burst(2, 100), Burst(3, 0)};
  for (auto& tenant : tenants_) tenant.running = true;
  Pass(500 * kMs);
  for (const auto& grant : grants_) EXPECT_EQ(grant.open_until_ns, kOpenForAll);
  EXPECT_EQ(arbiter_.mode(), ArbiterMode::kFree);
}

TEST_F(ArbiterRules, ALoneOneHasNoGateAndOthersThatCameHaveRounds) {
  Want(0, false, true);
  Pass(100 * kMs);
  EXPECT_EQ(grants_[0].open_until_ns, kOpenForAll);
  EXPECT_EQ(grants_[1].open_until_ns, kOpenForAll) << "idle ones may begin at once";
  Want(1, false, true);
  After(kMs);
  EXPECT_EQ(arbiter_.mode(), ArbiterMode::kWindows);
  Want(1, false, false);
  Pass(kContendingNs + kMs);
  EXPECT_EQ(grants_[0].open_until_ns, kOpenInRounds);
  EXPECT_EQ(grants_[1].open_until_ns, kOpenInRounds);
  Pass(kLatelyNs);
  EXPECT_EQ(grants_[0].open_until_ns, kOpenForAll);
}

TEST_F(ArbiterRules, WorkThatIsOverBetweenTwoLooksContendsToo) {
  Want(0, false, true);
  Want(1, false, true);
  After(kMs);
  Want(1, false, false);
  Pass(kContendingNs + kMs);
  ASSERT_EQ(arbiter_.mode(), ArbiterMode::kRounds);
  for (int i = 1; i <= 3; ++i) {
    tenants_[1].launches += 1;
    Pass(kContendingNs + 10 * kMs);
    ASSERT_EQ(arbiter_.mode(), ArbiterMode::kRounds) << "windows would be gone when it comes again";
  }
  for (int i = 0; i < 1000; ++i) {
    tenants_[1].launches += i % 9 == 0 ? 1 : 0;
    After(10 * kMs);
    ASSERT_TRUE(i < 10 || arbiter_.mode() == ArbiterMode::kWindows) << i;
  }
}

TEST_F(ArbiterRules, LooksAtOpenGatesAreNotInStepWithAnybody) {
  for (TenantSeen& tenant : tenants_) tenant.presses = false;
  Want(0, false, true);
  Want(1, false, true);
  After(kMs);
  const std::uint64_t begin = now_;
  std::vector<int> tenths(10);
  for (int i = 0; i < 1000; ++i) {
    After(arbiter_.look_at_ns() - now_);
    ++tenths[now_ / kMs % 10];
  }
  ASSERT_EQ(arbiter_.mode(), ArbiterMode::kRounds);
  EXPECT_NEAR(static_cast<double>(now_ - begin), 1000.0 * 10 * kMs, 100.0 * kMs);
  EXPECT_THAT(tenths, ::testing::Each(::testing::Ge(50)));
}

TEST_F(ArbiterRules, AWindowOpensWhenNobodyElseRuns) {
  Want(0, false, true);
  After(kMs);
  Want(1, true, false);
  After(kMs);
  EXPECT_EQ(arbiter_.look_at_ns(), now_) << "look once more";
  Pass(50 * kMs);
  EXPECT_FALSE(IsOpen(0) || IsOpen(1));
  EXPECT_LE(arbiter_.look_at_ns(), now_ + 100 * kUs);
  Want(0, true, false);
  After(kMs);
  EXPECT_TRUE(IsOpen(1)) << "the other one has used less since they contend";
  EXPECT_FALSE(IsOpen(0));
  EXPECT_EQ(grants_[1].open_until_ns, now_ + kWindowNs);
}

TEST_F(ArbiterRules, WorkThatRunsOnIsWaitedForUntilPatienceIsOver) {
  tenants_ = {Burst(1, 99), Burst(2, 1)};
  Contend();
  Pass(kWindowNs);
  ASSERT_FALSE(IsOpen(0));
  Pass(kPatienceNs - 2 * kMs);
  EXPECT_FALSE(IsOpen(1));
  Pass(3 * kMs);
  EXPECT_TRUE(IsOpen(1));
  EXPECT_EQ(arbiter_.overruns_total(), 1U);
  // No window for it until it is clear, whoever's turn it is.
  Want(0, true, true);
  Want(1, false, true);
  for (int i = 0; i < 300; ++i) {
    After(kMs);
    ASSERT_TRUE(IsOpen(1)) << i;
  }
  EXPECT_EQ(arbiter_.overruns_total(), 1U) << "one overrun is counted once";
}

TEST_F(ArbiterRules, AnOverrunIsCountedOnceHoweverManyWindowsItIsBeside) {
  tenants_.push_back(Burst(3, 20));
  Contend();
  Want(2, true, false);
  Pass(kWindowNs + kPatienceNs + 2 * kMs);
  EXPECT_TRUE(IsOpen(1) || IsOpen(2));
  for (int i = 0; i < 100; ++i) {
    for (const std::size_t j : {1, 2}) Want(j, !IsOpen(j), IsOpen(j));
    After(kMs);
  }
  EXPECT_GE(arbiter_.windows_total(), 5U);
  EXPECT_EQ(arbiter_.overruns_total(), 1U);
}

TEST_F(ArbiterRules, AWindowIsProlongedWhereNobodyElseWants) {
  Contend();
  Want(1, false, false);
  const std::uint64_t end = grants_[0].open_until_ns;
  Pass(end - now_ - kMs - kUs);
  EXPECT_EQ(grants_[0].open_until_ns, end);
  After(10 * kUs);
  EXPECT_EQ(grants_[0].open_until_ns, end + kWindowNs) << "before its end, without a break";
}

TEST_F(ArbiterRules, AWindowEndsByTimeWhereItIsAnothersTurn) {
  Contend();
  const std::uint64_t end = grants_[0].open_until_ns;
  EXPECT_EQ(grants_[1].likely_open_ns, end);
  Pass(end - now_ - kUs);
  EXPECT_EQ(grants_[0].open_until_ns, end);
  Want(0, true, false);
  After(2 * kUs);
  EXPECT_TRUE(IsOpen(1)) << "at the first look after the end, if nothing runs";
  EXPECT_FALSE(IsOpen(0));
}

TEST_F(ArbiterRules, WhoHasTheLargerShareIsNextAgain) {
  tenants_ = {Burst(1, 10), Burst(2, 90)};
  Contend();
  Pass(kWindowNs);
  Want(0, true, false);
  After(2 * kMs);
  ASSERT_TRUE(IsOpen(1));
  Want(1, false, true);
  Pass(9 * kWindowNs - 5 * kMs);
  EXPECT_TRUE(IsOpen(1));
  EXPECT_EQ(arbiter_.windows_total(), 10U);
  Pass(10 * kMs);
  EXPECT_FALSE(IsOpen(1));
}

TEST_F(ArbiterRules, AHolderThatDoesNothingGivesUpAndIsLookedAtOnceMore) {
  Contend();
  After(kMs);
  Want(0, false, false);
  After(kMs);
  EXPECT_TRUE(IsOpen(0));
  EXPECT_LE(arbiter_.look_at_ns(), now_ + 250 * kUs);
  After(900 * kUs);
  EXPECT_TRUE(IsOpen(0));
  After(200 * kUs);
  EXPECT_FALSE(IsOpen(0) || IsOpen(1));
  EXPECT_EQ(arbiter_.look_at_ns(), now_);
  // It let something through in the moment in which the window was taken away.
  Want(0, false, true);
  After(10 * kUs);
  EXPECT_FALSE(IsOpen(1));
  Want(0, true, false);
  After(kMs);
  EXPECT_TRUE(IsOpen(1));
}

TEST_F(ArbiterRules, AHolderThatDoesNothingKeepsTheWindowWhereNobodyElseWants) {
  Contend();
  Want(0, false, false);
  Want(1, false, false);
  Pass(50 * kMs);
  EXPECT_TRUE(IsOpen(0));
}

TEST_F(ArbiterRules, WhoWantsAndDoesNotStartIsDoubted) {
  Contend();
  Want(0, true, false);  // stopped, or a liar
  Pass(5 * kMs);
  EXPECT_FALSE(IsOpen(0));
  After(kUs);
  EXPECT_TRUE(IsOpen(1));
  Want(1, true, false);  // nor does the other, so it is seen when the first is believed again
  std::vector<std::uint64_t> opened;
  std::uint64_t last = 0;
  for (int i = 0; i < 10'000; ++i) {
    Want(1, false, true);
    if (!IsOpen(1)) Want(1, true, false);
    After(kMs / 2);
    if (IsOpen(0) && grants_[0].open_until_ns != last) opened.push_back(now_);
    last = IsOpen(0) ? grants_[0].open_until_ns : 0;
  }
  ASSERT_GE(opened.size(), 3U);
  EXPECT_LE(opened.size(), 12U) << "each time it is believed later";
}

TEST_F(ArbiterRules, BestEffortLosesItsWindowAtOnce) {
  tenants_[0].policy = Policy::kBestEffort;
  tenants_[0].percent = 0;
  Want(0, false, true);
  After(kMs);
  Want(1, true, false);
  Pass(2 * kMs);
  Want(0, true, false);
  Pass(kMs);
  ASSERT_TRUE(IsOpen(1)) << "guaranteed ones are first";
  Want(1, false, false);
  Pass(2 * kMs);
  After(10 * kUs);
  ASSERT_TRUE(IsOpen(0));
  Want(0, false, true);
  Pass(3 * kMs);
  ASSERT_TRUE(IsOpen(0));
  Want(1, true, false);
  After(kMs);
  EXPECT_FALSE(IsOpen(0));
  EXPECT_EQ(arbiter_.look_at_ns(), now_);
}

TEST_F(ArbiterRules, BestEffortNeverInterruptsOthers) {
  tenants_[1].policy = Policy::kBestEffort;
  Contend();
  Pass(900 * kMs);
  EXPECT_TRUE(IsOpen(0));
  // But one that was stopped with work under way would shut it out for ever.
  Pass(kPatienceNs + 200 * kMs);
  EXPECT_FALSE(IsOpen(0));
  EXPECT_TRUE(IsOpen(1));
}

TEST_F(ArbiterRules, WhoHasNoRegionIsToldNothingThatCounts) {
  Contend();
  tenants_.push_back(Burst(3, 20));
  Want(2, true, false);
  After(kMs);
  tenants_[0].attached = false;  // the holder's region went away
  tenants_[0].running = false;
  After(kMs);
  EXPECT_FALSE(IsOpen(1) || IsOpen(2));
  After(kUs);
  EXPECT_TRUE(IsOpen(1) || IsOpen(2));
}

TEST_F(ArbiterRules, AHolderThatIsNoLongerListedIsForgotten) {
  Contend();
  tenants_.erase(tenants_.begin());
  After(kMs);
  After(kUs);
  EXPECT_TRUE(IsOpen(0));
  EXPECT_EQ(arbiter_.TotalsOf(1), nullptr);
}

TEST_F(ArbiterRules, WhoComesInItsOwnWayIsWaitedFor) {
  Contend();
  Pass(5 * kMs);
  tenants_.push_back(Burst(3, 20));
  Want(2, false, true);  // ran before the agent knew it
  After(kMs);
  Pass(kWindowNs);
  Want(0, true, false);
  After(kMs);
  EXPECT_FALSE(IsOpen(1)) << "the newcomer still runs";
  Want(2, true, false);
  After(kMs);
  EXPECT_TRUE(IsOpen(1) || IsOpen(2));
}

TEST_F(ArbiterRules, AfterAPauseOfTheAgentAllAreClosedFirst) {
  Contend();
  Pass(kPatienceNs);
  Want(0, true, false);
  Want(1, true, true);  // by itself: its grant has expired
  After(150 * kMs);
  EXPECT_FALSE(IsOpen(0) || IsOpen(1));
  After(kMs);
  EXPECT_FALSE(IsOpen(0) || IsOpen(1));
}

TEST_F(ArbiterRules, TimeIsChargedToThoseThatRunAndWaitingToNobody) {
  Contend();
  const TenantTotals first = *arbiter_.TotalsOf(1);
  Pass(10 * kMs);
  EXPECT_EQ(arbiter_.TotalsOf(1)->charged_ns - first.charged_ns, 10 * kMs);
  EXPECT_EQ(arbiter_.TotalsOf(2)->charged_ns, 0U);
  EXPECT_GE(arbiter_.TotalsOf(2)->waited_ns, 10 * kMs);
  Want(1, true, true);
  After(kMs);
  EXPECT_EQ(arbiter_.TotalsOf(2)->charged_ns, kMs / 2) << "what overlaps costs each half";
}

TEST_F(ArbiterRules, AHolderThatHidesItsWorkPaysForItsWindow) {
  Contend();
  const TenantTotals first = *arbiter_.TotalsOf(1);
  Want(0, true, false);
  Pass(4 * kMs);
  EXPECT_EQ(arbiter_.TotalsOf(1)->charged_ns - first.charged_ns, 4 * kMs);
}

TEST_F(ArbiterRules, ItLooksOftenEnoughForTheHeartbeat) {
  After(kMs);
  EXPECT_LE(arbiter_.look_at_ns(), now_ + 20 * kMs);
  tenants_.clear();
  After(kMs);
  EXPECT_GT(arbiter_.look_at_ns(), now_);
}

}  // namespace
}  // namespace tessera::agent::test
