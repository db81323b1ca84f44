#include "extender/idle_guard.h"

#include <gtest/gtest.h>

#include "tests/fakes/manual_clock.h"

namespace tessera::extender {
namespace {

using std::chrono::seconds;

class IdleGuardTest : public testing::Test {
 protected:
  IdleGuard Make(std::chrono::milliseconds limit) {
    return {clock_,
            limit,
            {.request = [this] { return ++requested_; },
             .wait =
                 [this](std::uint64_t ticket) {
                   waited_for_ = ticket;
                   return told_ >= ticket;
                 }}};
  }
  ManualClock clock_;
  std::uint64_t requested_ = 0;
  std::uint64_t told_ = 0;
  std::uint64_t waited_for_ = 0;
};

TEST_F(IdleGuardTest, OnlyAPauseAsksForAList) {
  auto guard = Make(seconds(10));
  told_ = 100;
  EXPECT_TRUE(guard.Enter());
  EXPECT_EQ(requested_, 1u) << "who was never asked may be a standby";
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(seconds(9));
    EXPECT_TRUE(guard.Enter());
  }
  EXPECT_EQ(requested_, 1u);
  clock_.Advance(seconds(10));
  EXPECT_TRUE(guard.Enter());
  EXPECT_EQ(requested_, 2u);
}

TEST_F(IdleGuardTest, WhoComesAgainWaitsForTheSameList) {
  auto guard = Make(seconds(10));
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(guard.Enter()) << "a list that takes longer than a scheduler waits";
    clock_.Advance(seconds(5));
  }
  EXPECT_EQ(requested_, 1u);
  told_ = 1;
  EXPECT_TRUE(guard.Enter());
  waited_for_ = 0;
  EXPECT_TRUE(guard.Enter());
  EXPECT_EQ(waited_for_, 0u);
}

TEST_F(IdleGuardTest, AListOfAnEarlierTurnIsNoGood) {
  auto guard = Make(seconds(10));
  EXPECT_FALSE(guard.Enter());
  told_ = 1;
  clock_.Advance(std::chrono::hours(1));
  EXPECT_FALSE(guard.Enter());
  EXPECT_EQ(waited_for_, 2u);
}

TEST_F(IdleGuardTest, BindsKeepItAwakeButDoNotWakeIt) {
  auto guard = Make(seconds(10));
  told_ = 100;
  guard.Touch();
  EXPECT_TRUE(guard.Enter());
  EXPECT_EQ(requested_, 1u);
  clock_.Advance(seconds(9));
  guard.Touch();
  clock_.Advance(seconds(9));
  EXPECT_TRUE(guard.Enter());
  EXPECT_EQ(requested_, 1u);
  clock_.Advance(seconds(10));
  guard.Touch();
  EXPECT_TRUE(guard.Enter());
  EXPECT_EQ(requested_, 2u);
}

TEST_F(IdleGuardTest, NoLimitMeansNoLists) {
  auto guard = Make(seconds(0));
  EXPECT_TRUE(guard.Enter());
  EXPECT_EQ(requested_, 0u);
}

}  // namespace
}  // namespace tessera::extender
