#include "common/kube/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kube/micro_time.h"
#include "tests/common/kube/stub_client.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::kube {
namespace {

using std::chrono::seconds;

LeaseJudge::TimePoint At(int second) { return LeaseJudge::TimePoint(seconds(second)); }

TEST(LeaseJudge, JudgesByWhenItSawTheRecordChange) {
  LeaseJudge judge("me");
  EXPECT_EQ(judge.Decide(std::nullopt, At(0)), LeaseStep::kCreate);
  LeaseRecord other{.holder = "other",
                    .duration_seconds = 15,
                    .renew_time = "1999-01-01T00:00:00Z",
                    .resource_version = "1"};
  EXPECT_EQ(judge.Decide(other, At(100)), LeaseStep::kWait)
      << "however old its own clock says it is";
  EXPECT_EQ(judge.Decide(other, At(115)), LeaseStep::kWait);
  EXPECT_EQ(judge.Decide(other, At(116)), LeaseStep::kAcquire);
  other.resource_version = "2";
  EXPECT_EQ(judge.Decide(other, At(117)), LeaseStep::kWait) << "it was renewed after all";
  EXPECT_EQ(judge.Decide(LeaseRecord{.holder = "me"}, At(118)), LeaseStep::kRenew);
  EXPECT_EQ(judge.Decide(LeaseRecord{.holder = ""}, At(119)), LeaseStep::kAcquire);
}

TEST(LeaseRecord, RoundTripsThroughJson) {
  const LeaseRecord record{.holder = "me",
                           .duration_seconds = 15,
                           .transitions = 3,
                           .acquire_time = "a",
                           .renew_time = "b",
                           .resource_version = "9"};
  EXPECT_EQ(ReadLease(json::Parse(WriteLease(record, "ns", "n")).value()), record);
  for (const char* odd : {"{}", "[]", R"({"spec":7})",
                          R"({"spec":{"holderIdentity":1,"leaseDurationSeconds":"x"}})"}) {
    EXPECT_EQ(ReadLease(json::Parse(odd).value()), LeaseRecord{}) << odd;
  }
}

TEST(NextRecord, CountsTransitionsAndKeepsTheTimeOfAcquisition) {
  const LeaseRecord seen{
      .holder = "other", .transitions = 3, .acquire_time = "then", .resource_version = "9"};
  const auto now = std::chrono::system_clock::time_point(seconds(1));
  const auto taken = NextRecord(LeaseStep::kAcquire, seen, "me", seconds(15), now);
  EXPECT_EQ(taken, (LeaseRecord{.holder = "me",
                                .duration_seconds = 15,
                                .transitions = 4,
                                .acquire_time = "1970-01-01T00:00:01.000000Z",
                                .renew_time = "1970-01-01T00:00:01.000000Z",
                                .resource_version = "9"}));
  const auto renewed = NextRecord(LeaseStep::kRenew, taken, "me", seconds(15), now + seconds(2));
  EXPECT_EQ(renewed.transitions, 4);
  EXPECT_EQ(renewed.acquire_time, taken.acquire_time);
  EXPECT_EQ(renewed.renew_time, "1970-01-01T00:00:03.000000Z");
  EXPECT_EQ(NextRecord(LeaseStep::kCreate, std::nullopt, "me", seconds(15), now).transitions, 0);
}

TEST(MicroTime, HasSixDigitsAlsoBeforeTheEpoch) {
  using std::chrono::microseconds;
  const auto at = [](long micros) {
    return std::chrono::system_clock::time_point(microseconds(micros));
  };
  EXPECT_EQ(MicroTime(at(42)), "1970-01-01T00:00:00.000042Z");
  EXPECT_EQ(MicroTime(at(-1)), "1969-12-31T23:59:59.999999Z");
}

/// One lease in a server that checks versions.
class ElectionTest : public testing::Test {
 protected:
  Result<rapidjson::Document> Answer(const std::string& method, const std::string& body) {
    if (away_) return Fail(Errc::kUnavailable, "away");
    if (method == "GET") {
      if (!lease_) return Fail(Errc::kNotFound, "none");
      return json::Parse(WriteLease(*lease_, "ns", "lead"));
    }
    LeaseRecord record = ReadLease(json::Parse(body).value());
    const bool create = method == "POST";
    if (create ? lease_.has_value()
               : !lease_ || record.resource_version != lease_->resource_version) {
      return Fail(Errc::kConflict, "somebody was faster");
    }
    record.resource_version = std::to_string(++version_);
    lease_ = record;
    return json::Parse(WriteLease(record, "ns", "lead"));
  }
  LeaderElector Make(const std::string& identity) {
    return LeaderElector(
        client_, clock_, {.ns = "ns", .name = "lead", .identity = identity},
        [this, identity](bool leader) { told_.push_back((leader ? "+" : "-") + identity); });
  }

  ManualClock clock_;
  std::optional<LeaseRecord> lease_;
  bool away_ = false;
  int version_ = 0;
  std::vector<std::string> told_;
  StubClient client_{[this](const std::string& method, const std::string&,
                            const std::string& body) { return Answer(method, body); }};
};

TEST_F(ElectionTest, OneLeadsUntilItStopsRenewing) {
  LeaderElector a = Make("a");
  LeaderElector b = Make("b");
  a.Tick();
  b.Tick();
  EXPECT_TRUE(a.leader());
  EXPECT_FALSE(b.leader());
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(seconds(2));
    a.Tick();
    b.Tick();
    EXPECT_TRUE(a.leader());
    EXPECT_FALSE(b.leader());
  }
  bool both = false;
  for (int i = 0; i < 10; ++i) {  // a is dead, b goes on
    clock_.Advance(seconds(2));
    b.Tick();
    both = both || (a.leader() && b.leader());
  }
  EXPECT_FALSE(both);
  EXPECT_FALSE(a.leader());
  EXPECT_TRUE(b.leader());
  a.Tick();
  EXPECT_EQ(lease_->holder, "b");
  EXPECT_THAT(told_, testing::ElementsAre("+a", "+b", "-a"));
}

TEST_F(ElectionTest, WithoutTheServerALeaderStepsDownAtTheDeadline) {
  LeaderElector a = Make("a");
  a.Tick();
  away_ = true;
  clock_.Advance(seconds(9));
  a.Tick();
  EXPECT_TRUE(a.leader());
  clock_.Advance(seconds(1));
  EXPECT_FALSE(a.leader()) << "before any thread has noticed";
  a.Tick();
  EXPECT_THAT(told_, testing::ElementsAre("+a", "-a"));
  away_ = false;
  a.Tick();
  EXPECT_TRUE(a.leader()) << "it is still ours";
}

TEST_F(ElectionTest, AReleasedLeaseIsTakenAtOnce) {
  LeaderElector a = Make("a");
  LeaderElector b = Make("b");
  a.Tick();
  b.Tick();
  a.Release();
  EXPECT_FALSE(a.leader());
  EXPECT_EQ(lease_->holder, "");
  b.Tick();
  EXPECT_TRUE(b.leader());
  a.Release();
  EXPECT_EQ(lease_->holder, "b") << "what is not ours is not given back";
  EXPECT_EQ(lease_->transitions, 1);
}

TEST_F(ElectionTest, ALostRaceIsNoLeadership) {
  LeaderElector a = Make("a");
  StubClient racing([this](const std::string& method, const std::string&,
                           const std::string& body) -> Result<rapidjson::Document> {
    if (method == "GET") return Fail(Errc::kNotFound, "none");
    lease_ = LeaseRecord{.holder = "other", .duration_seconds = 15, .resource_version = "7"};
    return Answer(method, body);
  });
  LeaderElector slow(racing, clock_, {.ns = "ns", .name = "lead", .identity = "slow"}, nullptr);
  slow.Tick();
  EXPECT_FALSE(slow.leader());
  EXPECT_EQ(lease_->holder, "other");
}

TEST_F(ElectionTest, TheThreadReleasesOnStop) {
  LeaderElector a = Make("a");
  a.Start();
  a.Start();
  while (!a.leader()) std::this_thread::yield();
  a.Stop();
  a.Stop();
  EXPECT_EQ(lease_->holder, "");
  EXPECT_THAT(told_, testing::ElementsAre("+a", "-a"));
}

}  // namespace
}  // namespace tessera::kube
