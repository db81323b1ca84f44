#include "sim/scheduler/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

using std::chrono::seconds;
using testing::Eq;
using testing::Optional;
using Why = SchedulingQueue::Why;

class QueueTest : public testing::Test {
 protected:
  std::optional<std::string> PopAt(int second) { return queue_.Pop(At(second)); }
  static SchedulingQueue::Time At(int second) {
    return SchedulingQueue::Time(seconds(1000 + second));
  }
  SchedulingQueue queue_;
};

TEST_F(QueueTest, FirstInFirstOut) {
  queue_.Add("a");
  queue_.Add("b");
  queue_.Add("a");
  EXPECT_THAT(PopAt(0), Optional(Eq("a")));
  EXPECT_THAT(PopAt(0), Optional(Eq("b")));
  EXPECT_EQ(PopAt(0), std::nullopt);
}

TEST_F(QueueTest, AnUnschedulablePodWaitsForAnEventAndThenForItsBackOff) {
  queue_.Add("a");
  PopAt(0);
  queue_.Failed("a", Why::kUnschedulable, At(0));
  EXPECT_EQ(PopAt(100), std::nullopt) << "nothing happened in the cluster";
  EXPECT_EQ(queue_.NextDue(), std::nullopt);
  queue_.OnClusterEvent();
  EXPECT_EQ(queue_.NextDue(), At(1));
  EXPECT_EQ(queue_.Pop(At(0)), std::nullopt);
  EXPECT_THAT(PopAt(1), Optional(Eq("a")));
}

TEST_F(QueueTest, AnEventDuringTheAttemptIsNotMissed) {
  queue_.Add("a");
  PopAt(0);
  queue_.OnClusterEvent();
  queue_.Failed("a", Why::kUnschedulable, At(0));
  EXPECT_THAT(PopAt(1), Optional(Eq("a")));
}

TEST_F(QueueTest, AnErrorIsTriedAgainWithoutAnEvent) {
  queue_.Add("a");
  PopAt(0);
  queue_.Failed("a", Why::kError, At(0));
  EXPECT_EQ(queue_.Pop(At(0)), std::nullopt);
  EXPECT_THAT(PopAt(1), Optional(Eq("a")));
}

TEST_F(QueueTest, BackOffDoublesUpToTenSeconds) {
  queue_.Add("a");
  int now = 0;
  for (const int want : {1, 2, 4, 8, 10, 10, 10}) {
    ASSERT_THAT(PopAt(now), Optional(Eq("a")));
    queue_.Failed("a", Why::kError, At(now));
    ASSERT_EQ(queue_.NextDue(), At(now + want));
    now += want;
  }
}

TEST_F(QueueTest, ADeletedPodIsForgotten) {
  queue_.Add("a");
  queue_.Delete("a");
  EXPECT_EQ(PopAt(0), std::nullopt);
  queue_.Add("b");
  PopAt(0);
  queue_.Delete("b");
  queue_.Failed("b", Why::kError, At(0));
  EXPECT_EQ(PopAt(100), std::nullopt);
}

}  // namespace
}  // namespace tessera::sim
