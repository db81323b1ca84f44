// The arbiter's rules, one by one, step by step.
#include "agent/arbiter/arbiter.h"

#include <gmock/gmock.h>

#include "interceptor/region/grant.h"

namespace tessera::agent {
namespace {

using region::kOpenForAll;
using region::kOpenInRounds;
using region::Policy;

constexpr std::uint64_t kUs = 1'000;
constexpr std::uint64_t kMs = 1'000'000;

TenantSeen Burst(std::uint64_t key, int percent) {
  return {.key = key,
          .policy = Policy::kBurstShare,
          .percent = percent,
          .attached = true,
          .presses = true};
}

class ArbiterRules : public ::testing::Test {
 protected:
  /// Steps `ns` later.
  void After(std::uint64_t ns) {
    now_ += ns;
    grants_ = arbiter_.Step(now_, tenants_);
    ASSERT_EQ(grants_.size(), tenants_.size());
  }
  void Want(std::size_t i, bool wanting, bool running) {
    tenants_[i].wanting = wanting;
    tenants_[i].running = running;
  }
  bool IsOpen(std::size_t i) const { return now_ < grants_[i].open_until_ns; }
  /// Both want, and 0 has the window.
  void Contend() {
    Want(0, true, false);
    After(kMs);
    Want(1, true, false);
    After(kMs);
    EXPECT_FALSE(IsOpen(0) || IsOpen(1)) << "all are closed before the first window";
    After(kUs);
    ASSERT_TRUE(IsOpen(0));
    ASSERT_FALSE(IsOpen(1));
    Want(0, false, true);
  }
  /// Looks each millisecond.
  void Pass(std::uint64_t ns) {
    for (; ns > kMs; ns -= kMs) After(kMs);
    After(ns);
  }

  std::vector<TenantSeen> tenants_{Burst(1, 50), Burst(2, 50)};
  std::vector<TenantGrant> grants_;
  std::uint64_t now_ = 1'000 * kMs;
  Arbiter arbiter_;
};

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

class ArbiterPauses : public ArbiterRules {
 protected:
  /// 0 works in its window and gives it up, and 1 has the next one.
  void WorkAndPause() {
    Want(0, false, true);
    Pass(3 * kMs);
    Want(0, false, false);
    Pass(2 * kMs);
    After(10 * kUs);
    ASSERT_TRUE(IsOpen(1));
    opened_ = now_;
    Want(1, false, true);
  }
  /// 0 waits for a whole window of 1, and does the same again: it is behind its share.
  void FallBehind() {
    Contend();
    WorkAndPause();
    Want(0, true, false);
    Pass(kWindowNs);
    Want(1, true, false);
    Pass(2 * kMs);
    ASSERT_TRUE(IsOpen(0));
    WorkAndPause();
  }
  std::uint64_t opened_ = 0;
};

TEST_F(ArbiterPauses, WhoComesBackIsLetInAfterAStretch) {
  FallBehind();
  EXPECT_EQ(grants_[1].open_until_ns, opened_ + 4 * kMs);
  After(kMs);
  Want(0, true, false);
  After(2 * kMs);
  EXPECT_TRUE(IsOpen(1));
  After(kMs);
  EXPECT_FALSE(IsOpen(0) || IsOpen(1));
  EXPECT_EQ(arbiter_.look_at_ns(), now_);
  Want(1, true, false);
  After(10 * kUs);
  EXPECT_TRUE(IsOpen(0));
  EXPECT_EQ(grants_[0].open_until_ns, now_ + kWindowNs) << "the other does not pause";
}

TEST_F(ArbiterPauses, WhoComesBackAheadOfItsShareWaitsUntilItIsBehind) {
  Contend();
  WorkAndPause();
  After(kMs);
  Want(0, true, false);
  Pass(4 * kMs);
  EXPECT_TRUE(IsOpen(1)) << "0 had more than 4 ms before";
  Pass(4 * kMs);
  EXPECT_FALSE(IsOpen(1));
}

TEST_F(ArbiterPauses, WhoWasInterruptedDoesNotInterrupt) {
  FallBehind();
  After(kMs);
  Want(0, true, false);
  Pass(3 * kMs);
  Want(1, true, false);
  After(10 * kUs);
  ASSERT_TRUE(IsOpen(0));
  Want(0, false, true);
  Pass(kWindowNs - 2 * kMs);
  EXPECT_TRUE(IsOpen(0));
}

TEST_F(ArbiterPauses, WhoWantsNoMoreHasNotComeBack) {
  FallBehind();
  After(kMs);
  Want(0, true, false);
  After(kMs);
  Want(0, false, false);
  After(kMs);
  Want(0, true, false);
  Pass(6 * kMs);
  EXPECT_TRUE(IsOpen(1));
}

TEST_F(ArbiterPauses, WhoDoesNotBeginIsDoubtedAndNotInterrupted) {
  FallBehind();
  Want(1, true, false);  // stopped, or a liar
  After(kMs);
  Want(0, true, false);
  std::uint64_t open_ns = 0;
  std::uint64_t since = now_;
  while (now_ < opened_ + 5'000 * kMs) {
    const std::uint64_t for_ns = now_ - since;
    const bool begins = tenants_[0].wanting && IsOpen(0);
    const bool ends = tenants_[0].running && for_ns >= kMs;
    const bool rests = !tenants_[0].wanting && !tenants_[0].running;
    if (begins) Want(0, false, true);
    if (ends) Want(0, false, false);
    if (rests && for_ns >= 5 * kMs) Want(0, true, false);
    if (begins || ends) since = now_;
    After(kMs / 20);
    open_ns += IsOpen(1) ? kMs / 20 : 0;
  }
  EXPECT_LE(open_ns, 100 * kMs);
}

TEST_F(ArbiterPauses, WhoMakesTheWindowChangeHandsPaysWhileNobodyRuns) {
  FallBehind();
  const std::uint64_t before[] = {arbiter_.TotalsOf(1)->charged_ns,
                                  arbiter_.TotalsOf(2)->charged_ns};
  After(kMs);
  Want(0, true, false);
  Pass(3 * kMs);
  ASSERT_FALSE(IsOpen(1));
  Want(1, true, false);
  After(300 * kUs);
  ASSERT_TRUE(IsOpen(0));
  EXPECT_EQ(arbiter_.TotalsOf(2)->charged_ns - before[1], 4 * kMs);
  EXPECT_EQ(arbiter_.TotalsOf(1)->charged_ns - before[0], 300 * kUs);
  After(300 * kUs);
  Want(0, false, true);
  After(kMs);
  EXPECT_EQ(arbiter_.TotalsOf(1)->charged_ns - before[0], 1600 * kUs);
  Want(0, false, false);
  Pass(2 * kMs);
  After(10 * kUs);
  ASSERT_TRUE(IsOpen(1));
  const std::uint64_t given_up = arbiter_.TotalsOf(1)->charged_ns;
  const std::uint64_t second = arbiter_.TotalsOf(2)->charged_ns;
  Want(0, true, false);
  After(200 * kUs);
  EXPECT_EQ(arbiter_.TotalsOf(2)->charged_ns, second) << "it has not begun";
  EXPECT_EQ(arbiter_.TotalsOf(1)->charged_ns - given_up, 200 * kUs);
  Pass(3 * kMs);
  EXPECT_LE(arbiter_.TotalsOf(1)->charged_ns - given_up, kMs) << "it cannot help it";
  const std::uint64_t waited = arbiter_.TotalsOf(2)->charged_ns;
  EXPECT_GE(waited - second, 2 * kMs);
  Want(1, false, true);
  After(kMs / 2);
  EXPECT_EQ(arbiter_.TotalsOf(2)->charged_ns - waited, kMs / 2);
}

TEST_F(ArbiterPauses, AWindowThatMayBeInterruptedGoesOnWithoutABreak) {
  FallBehind();
  const std::uint64_t windows = arbiter_.windows_total();
  while (now_ < opened_ + kWindowNs - 2 * kMs) {
    After(std::min(arbiter_.look_at_ns() - now_, kMs));
    ASSERT_TRUE(IsOpen(1));
    EXPECT_LE(grants_[1].open_until_ns, now_ + 5 * kMs);
  }
  EXPECT_EQ(arbiter_.windows_total(), windows);
  EXPECT_EQ(grants_[1].open_until_ns, opened_ + kWindowNs);
}

TEST_F(ArbiterPauses, WhoIsAwayForLongIsNotExpected) {
  FallBehind();
  Pass(100 * kMs);
  Want(1, false, false);
  Pass(2 * kMs);
  Want(1, false, true);
  Pass(kWindowNs);
  EXPECT_GT(grants_[1].open_until_ns, now_ + 5 * kMs);
}

TEST_F(ArbiterRules, WhoIsNeverSeenAtWorkDoesNotInterrupt) {
  Contend();
  Want(0, false, false);
  Pass(2 * kMs);
  After(10 * kUs);
  ASSERT_TRUE(IsOpen(1));
  Want(1, false, true);
  EXPECT_EQ(grants_[1].open_until_ns, now_ + kWindowNs);
  After(kMs);
  Want(0, true, false);
  Pass(10 * kMs);
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

TEST(FairShares, ADebtIsKeptWhileTheOtherIsAwayForAMoment) {
  FairShare debtor{.weight = 50};
  FairShare other{.weight = 50};
  const auto settle = [&](double charged_ns, bool debtor_is, bool other_is, double elapsed_ns) {
    const ShareUse uses[] = {{.share = &debtor, .charged_ns = charged_ns, .active = debtor_is},
                             {.share = &other, .charged_ns = 0, .active = other_is}};
    Settle(uses, elapsed_ns, 20e6);
  };
  settle(0, true, true, 1e6);
  settle(1e9, true, true, 1e9);
  const double lead = debtor.ahead_ns - other.ahead_ns;
  EXPECT_NEAR(lead, 1e9 / 50, 1);
  for (int i = 0; i < 10; ++i) {
    settle(0, true, false, 1e3);
    settle(0, true, true, 1e3);
  }
  EXPECT_NEAR(debtor.ahead_ns - other.ahead_ns, lead, lead / 1000);
}

TEST(FairShares, WhoIsAwayLosesItsCreditButAWindowAndPaysItsDebt) {
  FairShare away{.weight = 25, .ahead_ns = -1e9};
  FairShare owing{.weight = 25, .ahead_ns = 1e8};
  const ShareUse uses[] = {{.share = &away}, {.share = &owing}};
  for (int i = 0; i < 100; ++i) Settle(uses, 1e9, 20e6);
  EXPECT_NEAR(away.ahead_ns, -20e6 / 25, 1);
  EXPECT_EQ(owing.ahead_ns, 0);
}

TEST(FairShares, ADebtHasAnEnd) {
  FairShare one{.weight = 10};
  FairShare two{.weight = 90};
  const ShareUse uses[] = {{.share = &one, .charged_ns = 1e12, .active = true},
                           {.share = &two, .active = true}};
  Settle(uses, 1e9, 20e6);
  EXPECT_LE(one.ahead_ns * one.weight, kMostDebtNs);
  EXPECT_GE(two.ahead_ns * two.weight, -kMostDebtNs);
}

}  // namespace
}  // namespace tessera::agent
