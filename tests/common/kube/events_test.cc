#include "common/kube/events.h"

#include <condition_variable>
#include <semaphore>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/kube/stub_client.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::kube {
namespace {

Event Scheduled(const std::string& note) {
  return {.regarding = {.kind = "Pod", .ns = "ns", .name = "p", .uid = "u"},
          .reason = "Scheduled",
          .action = "Binding",
          .note = note};
}

TEST(EventJson, HasWhatTheApiRequires) {
  const std::string text =
      EventJson(Scheduled("to \"n1\""), "p.1", "tessera-extender", "host",
                std::chrono::system_clock::time_point(std::chrono::seconds(1)));
  EXPECT_EQ(
      text,
      R"({"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"p.1","namespace":"ns"},)"
      R"("eventTime":"1970-01-01T00:00:01.000000Z","reportingController":"tessera-extender",)"
      R"("reportingInstance":"host","type":"Normal","reason":"Scheduled","action":"Binding",)"
      R"("note":"to \"n1\"","regarding":{"apiVersion":"v1","kind":"Pod","name":"p","namespace":"ns","uid":"u"}})");
}

TEST(EventJson, LongNotesAreCutBetweenCharacters) {
  Event event = Scheduled(std::string(1023, 'x') + "\xC3\xA9");
  const auto parsed = json::Parse(EventJson(event, "n", "c", "i", {}));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(json::GetString(*parsed, "note")->size(), 1023U);
}

class EventRecorderTest : public testing::Test {
 protected:
  ManualClock clock_;
  std::counting_semaphore<> sent_{0};
  std::counting_semaphore<> may_send_{0};
  StubClient client_{[this](const std::string&, const std::string&,
                            const std::string&) -> Result<rapidjson::Document> {
    may_send_.acquire();
    sent_.release();
    return Fail(Errc::kUnavailable, "away");
  }};
};

TEST_F(EventRecorderTest, NeitherWaitsNorRepeatsWithinAMinute) {
  EventRecorder recorder(client_, clock_, "c", "i");
  EXPECT_TRUE(recorder.Record(Scheduled("one")));
  EXPECT_FALSE(recorder.Record(Scheduled("one")));
  EXPECT_TRUE(recorder.Record(Scheduled("two")));
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_TRUE(recorder.Record(Scheduled("one")));
  may_send_.release(3);
  for (int i = 0; i < 3; ++i) sent_.acquire();
  EXPECT_THAT(client_.journal(), testing::Each("POST /apis/events.k8s.io/v1/namespaces/ns/events"));
}

TEST_F(EventRecorderTest, TooManyAreDropped) {
  EventRecorder recorder(client_, clock_, "c", "i");
  std::size_t taken = 0;
  for (int i = 0; i < 1000; ++i) taken += recorder.Record(Scheduled(std::to_string(i))) ? 1 : 0;
  EXPECT_GE(taken, EventRecorder::kMaxWaiting);
  EXPECT_LE(taken, EventRecorder::kMaxWaiting + 1) << "one may be with the thread";
  may_send_.release(1000);
}

TEST_F(EventRecorderTest, EventsOfClusterWideObjectsGoToDefault) {
  EventRecorder recorder(client_, clock_, "c", "i");
  recorder.Record(
      {.regarding = {.kind = "Node", .name = "n1"}, .reason = "R", .action = "A", .note = ""});
  may_send_.release();
  sent_.acquire();
  EXPECT_THAT(client_.journal(),
              testing::ElementsAre("POST /apis/events.k8s.io/v1/namespaces/default/events"));
}

TEST(StableEventName, IsTheSameForTheSameAndAValidName) {
  EXPECT_EQ(StableEventName(Scheduled("a")), StableEventName(Scheduled("a")));
  EXPECT_NE(StableEventName(Scheduled("a")), StableEventName(Scheduled("b")));
  Event other = Scheduled("a");
  other.regarding.uid = "another";
  EXPECT_NE(StableEventName(Scheduled("a")), StableEventName(other)) << "a pod made anew";
  EXPECT_EQ(StableEventName(Scheduled("a")).rfind("p.", 0), 0u);
  Event long_name = Scheduled("a");
  long_name.regarding.name = std::string(199, 'x') + "-" + std::string(50, 'y');
  EXPECT_EQ(StableEventName(long_name).substr(0, 200), std::string(199, 'x') + ".");
  EXPECT_EQ(StableEventName(long_name).size(), 216u);
}

}  // namespace
}  // namespace tessera::kube
