#include "extender/bind.h"

#include <gmock/gmock.h>

#include "common/contract/names.h"
#include "extender/filter.h"
#include "tests/extender/build.h"
#include "tests/extender/stub_client.h"

namespace tessera::extender {
namespace {

using binpack::Amount;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Amount kNothing{0, 0};
constexpr const char* kHalf = R"({"tessera.dev/gpu-memory":"600","tessera.dev/gpu-cores":"50"})";
const std::string kPath = "/api/v1/namespaces/default/pods/p";

class BindTest : public CacheTest {
 protected:
  void SetUp() override {
    AddNode(cache_, "n", 1);
    AddNode(cache_, "m", 1);
    client_.SetPod("p", {.uid = "u", .json_limits = kHalf});
  }
  Result<void> Run(const std::string& node = "n", const std::string& pod = "p",
                   const std::string& uid = "u") {
    return bind_.Handle({.ns = "default", .name = pod, .uid = uid, .node = node});
  }
  StubClient::Fault Refuse(Errc code, int times = 1) {
    auto left = std::make_shared<int>(times);
    return [code, left](const std::string&) -> Result<void> {
      if ((*left)-- > 0) return Fail(code, "fault");
      return {};
    };
  }

  StubClient client_;
  bool synced_ = true;
  Bind bind_{client_, cache_, clock_, std::chrono::seconds(4), [this] { return synced_; }};
};

TEST_F(BindTest, CommitsWithOneWriteThatCarriesAssignmentAndUid) {
  cache_.Hold("u", {"n"}, Ask(600, 50));
  const auto bound = Run();
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_THAT(client_.journal(), ElementsAre("POST " + kPath + "/binding"))
      << "and no other request";
  const auto pod = client_.GetPod("p");
  EXPECT_EQ(pod.node, "n");
  EXPECT_EQ(pod.bound_annotations.at("tessera.dev/c0-devices"), "n-0");
  EXPECT_EQ(pod.bound_annotations.at("tessera.dev/c0-limits"), "v1 fixed-share n-0:600:50");
  EXPECT_EQ(*contract::DecodeAssignment(pod.bound_annotations.at("tessera.dev/assignment")),
            Given("n", 0, 600, 50));
  EXPECT_THAT(
      client_.last_body(),
      HasSubstr(
          R"({"apiVersion":"v1","kind":"Binding","metadata":{"name":"p","namespace":"default","uid":"u")"));
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(BindTest, HostMemoryBeyondTheShareIsWrittenAndTakesNothingOfTheGpu) {
  auto request = Ask(600, 50);
  request.oversubscribe = true;
  cache_.Hold("u", {"n"}, request);
  ASSERT_TRUE(Run());
  auto pod = client_.GetPod("p");
  EXPECT_EQ(pod.bound_annotations.at("tessera.dev/c0-limits"), "v1 fixed-share n-0:600:50:600")
      << "as much as the share where nothing is said";
  auto given = Given("n", 0, 600, 50);
  given.placement.containers[0].devices[0].host_memory_mib = 600;
  EXPECT_EQ(*contract::DecodeAssignment(pod.bound_annotations.at("tessera.dev/assignment")), given);
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));

  client_.SetPod("q", {.uid = "v", .json_limits = kHalf});
  request.host_memory_mib = 5000;
  cache_.Hold("v", {"m"}, request);
  ASSERT_TRUE(Run("m", "q", "v"));
  EXPECT_EQ(client_.GetPod("q").bound_annotations.at("tessera.dev/c0-limits"),
            "v1 fixed-share m-0:600:50:5000");
  EXPECT_EQ(Committed(cache_, "m"), (Amount{600, 50}));
}

TEST_F(BindTest, ReadsThePodWhereTheHoldIsOverOrElsewhere) {
  ASSERT_TRUE(Run());
  EXPECT_THAT(client_.journal(), ElementsAre("GET " + kPath, "POST " + kPath + "/binding"));
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(BindTest, BindsOnAnotherNodeThanHeld) {
  cache_.Hold("u", {"m"}, Ask(600, 50));
  ASSERT_TRUE(Run("n"));
  EXPECT_EQ(client_.GetPod("p").node, "n");
  EXPECT_EQ(Held(cache_, "m"), kNothing);
}

TEST_F(BindTest, TwiceIsSuccessWithTheSameGpus) {
  ASSERT_TRUE(Run());
  const auto first = client_.GetPod("p").bound_annotations;
  const auto again = Run();
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(client_.GetPod("p").bound_annotations, first);
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50})) << "counted once";
}

TEST_F(BindTest, TwiceIsSuccessAfterTheWatchAndAfterARestart) {
  ASSERT_TRUE(Run());
  cache_.AddPod("u", "n", Given("n", 0, 600, 50));
  EXPECT_TRUE(Run());
  Cache fresh(clock_, {});
  AddNode(fresh, "n", 1);
  fresh.AddPod("u", "n", Given("n", 0, 600, 50));
  const Bind after_restart(client_, fresh, clock_, std::chrono::seconds(4), [] { return true; });
  EXPECT_TRUE(after_restart.Handle({"default", "p", "u", "n"}));
}

TEST_F(BindTest, AConflictWithAnotherBindingGivesTheGpusBack) {
  client_.SetPod("p", {.uid = "u", .json_limits = kHalf, .node = "m"});
  const auto bound = Run("n");
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().message, HasSubstr("already assigned to node m"));
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
}

TEST_F(BindTest, BoundHereByAnotherWithOtherGpusIsNoSuccess) {
  client_.SetPod("p", {.uid = "u",
                       .json_limits = kHalf,
                       .node = "n",
                       .bound_annotations = {{"tessera.dev/assignment", "x"},
                                             {"tessera.dev/gpu-count", "1"}}});
  EXPECT_FALSE(Run("n"));
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
}

TEST_F(BindTest, ALostAnswerIsSuccessIfTheWriteArrived) {
  client_.after_post = Refuse(Errc::kUnavailable);
  EXPECT_TRUE(Run());
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(BindTest, WhereNobodyKnowsTheGpusStayTakenAndTheNextBindGetsThem) {
  client_.before_post = Refuse(Errc::kUnavailable);
  EXPECT_FALSE(Run());
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
  EXPECT_FALSE(cache_.AssumePod("other", "n", Ask(600, 50))) << "not given to another pod";
  EXPECT_TRUE(Run());
  EXPECT_EQ(client_.GetPod("p").bound_annotations.at("tessera.dev/c0-devices"), "n-0");
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(BindTest, AConflictThatNobodyCanExplainKeepsTheGpus) {
  cache_.Hold("u", {"n"}, Ask(600, 50));
  client_.before_post = Refuse(Errc::kConflict);
  client_.before_get = Refuse(Errc::kUnavailable);
  EXPECT_FALSE(Run());
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50})) << "the pod may be bound with them";
}

TEST_F(BindTest, APodThatIsGoneHoldsNothingThoughTheAnswerToItsBindingWasLost) {
  // Its delete event has passed before the bind began: no other will come.
  for (const std::string uid : {"", "made-anew"}) {
    client_.SetPod("p", {.uid = "u", .json_limits = kHalf});
    cache_.Hold("u", {"n"}, Ask(600, 50));
    client_.before_post = Refuse(Errc::kUnavailable);
    client_.before_get = [&](const std::string&) -> Result<void> {
      if (uid.empty()) return Fail(Errc::kNotFound, "gone");
      client_.SetPod("p", {.uid = uid, .json_limits = kHalf});
      return {};
    };
    EXPECT_FALSE(Run());
    EXPECT_EQ(Committed(cache_, "n"), kNothing) << uid;
  }
}

TEST_F(BindTest, APodThatAnotherBoundHoldsNothingThoughTheAnswerWasLost) {
  cache_.Hold("u", {"n"}, Ask(600, 50));
  client_.SetPod("p", {.uid = "u", .json_limits = kHalf, .node = "m"});
  client_.after_post = Refuse(Errc::kUnavailable);
  EXPECT_FALSE(Run());
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
}

TEST_F(BindTest, GpusOfAPodThatWasBoundAreNotAbandonedBeforeTheWatchHasSeenIt) {
  ASSERT_TRUE(Run());
  EXPECT_FALSE(cache_.AbandonPod("u"));
  clock_.Advance(std::chrono::hours(1));
  EXPECT_FALSE(cache_.AbandonPod("u")) << "by no time limit";
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(BindTest, GpusOfAWriteThatMayStillArriveAreNotAbandoned) {
  client_.before_post = Refuse(Errc::kUnavailable);
  ASSERT_FALSE(Run());
  clock_.Advance(std::chrono::seconds(59));
  EXPECT_FALSE(cache_.AbandonPod("u")) << "the server may be at it for a minute";
  clock_.Advance(std::chrono::seconds(31));
  EXPECT_TRUE(cache_.AbandonPod("u"));
}

TEST_F(BindTest, ARefusedWriteGivesTheGpusBack) {
  for (const Errc code : {Errc::kNotFound, Errc::kInvalidArgument}) {
    client_.before_post = Refuse(code);
    EXPECT_FALSE(Run());
    EXPECT_EQ(Committed(cache_, "n"), kNothing);
  }
}

TEST_F(BindTest, ChoosesAnewWhereTheHeldGpuIsGone) {
  AddNode(cache_, "n", 2);
  cache_.Hold("u", {"n"}, Ask(600, 50));
  cache_.AddPod("x", "n", Given("n", 0, 600, 50));
  ASSERT_TRUE(Run());
  EXPECT_EQ(client_.GetPod("p").bound_annotations.at("tessera.dev/c0-devices"), "n-1");
}

TEST_F(BindTest, AFullNodeIsAnErrorAndNothingIsWritten) {
  cache_.AddPod("x", "n", Given("n", 0, 600, 50));
  const auto bound = Run();
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().message, "node n has no room any more: insufficient GPU memory");
  EXPECT_THAT(client_.journal(), ElementsAre("GET " + kPath));
}

TEST_F(BindTest, PastTheSchedulersPatienceNothingIsWritten) {
  client_.before_get = [this](const std::string&) -> Result<void> {
    clock_.Advance(std::chrono::seconds(4));
    return {};
  };
  const auto bound = Run();
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().message, HasSubstr("nothing was written"));
  EXPECT_THAT(client_.journal(), ElementsAre("GET " + kPath));
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
}

TEST_F(BindTest, NothingIsBoundBeforeTheCacheIsSynced) {
  synced_ = false;
  EXPECT_EQ(Run().error().message, "cache not synced");
  EXPECT_TRUE(client_.journal().empty());
}

TEST_F(BindTest, WrongPodsAreErrors) {
  EXPECT_FALSE(Run("n", "p", "another-uid")) << "made anew";
  EXPECT_FALSE(Run("n", "nobody")) << "gone";
  EXPECT_FALSE(Run("nowhere")) << "unknown node";
  client_.SetPod("bad", {.uid = "v", .json_limits = R"({"tessera.dev/gpu-memory":"3 apples"})"});
  EXPECT_THAT(Run("n", "bad", "v").error().message, HasSubstr("\"3 apples\" is not a quantity"));
  client_.SetPod("raw", {.uid = "w", .json_limits = kHalf, .managed = false});
  EXPECT_THAT(Run("n", "raw", "w").error().message, HasSubstr("tessera.dev/managed"));
  for (const auto& entry : client_.journal())
    EXPECT_THAT(entry, HasSubstr("GET ")) << "nothing was written";
}

TEST_F(BindTest, PodsWithoutAGpuAreBoundWithoutAnnotations) {
  client_.SetPod("plain", {.uid = "v"});
  EXPECT_TRUE(Run("n", "plain", "v"));
  EXPECT_EQ(client_.GetPod("plain").node, "n");
  EXPECT_TRUE(client_.GetPod("plain").bound_annotations.empty());
  EXPECT_TRUE(Run("n", "plain", "v")) << "again";
  EXPECT_FALSE(Run("m", "plain", "v"));
}

}  // namespace
}  // namespace tessera::extender
