// Who pauses gives its window up, and interrupts others when it comes back.
#include "tests/agent/arbiter/arbiter_rules.h"

namespace tessera::agent::test {
namespace {

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

}  // namespace
}  // namespace tessera::agent::test
