// What the extender tells, and waits for, over real sockets: takeover by a standby, preemption,
// events of its own.
#include <gmock/gmock.h>

#include "tests/extender/service_fixture.h"

namespace tessera::extender {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A client whose watches tell nothing: events that are still on their way.
class LateWatches final : public kube::Client {
 public:
  explicit LateWatches(std::unique_ptr<kube::Client> client) : client_(std::move(client)) {}
  Result<rapidjson::Document> Get(const std::string& path) override { return client_->Get(path); }
  Result<kube::ListResult> List(const std::string& path) override { return client_->List(path); }
  Result<rapidjson::Document> Post(const std::string& path, const std::string& body) override {
    return client_->Post(path, body);
  }
  Result<rapidjson::Document> Put(const std::string& path, const std::string& body) override {
    return client_->Put(path, body);
  }
  Result<rapidjson::Document> Patch(const std::string& path, kube::PatchType type,
                                    const std::string& body) override {
    return client_->Patch(path, type, body);
  }
  Result<void> Delete(const std::string& path) override { return client_->Delete(path); }
  Result<void> Watch(const std::string& path, const std::string& version,
                     const std::function<void(kube::WatchEvent&)>&, std::stop_token stop) override {
    return client_->Watch(
        path, version, [](kube::WatchEvent&) {}, std::move(stop));
  }
  void Shutdown() override { client_->Shutdown(); }

 private:
  const std::unique_ptr<kube::Client> client_;
};

class TakeoverTest : public ServiceTest {
 protected:
  std::unique_ptr<Running> Standby(std::chrono::milliseconds idle_limit) {
    return Run(std::make_unique<LateWatches>(MakeClient()), {.idle_limit = idle_limit});
  }
};

TEST_F(TakeoverTest, WhatTheOldLeaderBoundLastIsSeenBeforeTheFirstFilter) {
  const auto leader = Run();
  const auto standby = Standby(std::chrono::seconds(10));
  CreatePod("p");
  CreatePod("q");
  ASSERT_EQ(Bind(*leader, "p"), kBound);
  EXPECT_THAT(Filter(*standby, "q"), HasSubstr("insufficient GPU memory"));
  EXPECT_THAT(Bind(*standby, "q"), Not(testing::StrEq(kBound)));
}

TEST_F(TakeoverTest, WithoutTheGuardItWouldNotBe) {
  const auto leader = Run();
  const auto standby = Standby(std::chrono::seconds(0));
  CreatePod("p");
  CreatePod("q");
  ASSERT_EQ(Bind(*leader, "p"), kBound);
  EXPECT_THAT(Filter(*standby, "q"), HasSubstr(kPasses));
}

TEST_F(TakeoverTest, WhoCannotListAnswersNotSynced) {
  const auto standby = Standby(std::chrono::seconds(10));
  CreatePod("q");
  const std::string pod = json::Dump(client_->Get(Path("q")).value());
  api_->faults().Add({.method = "GET", .path = "/api/v1/pods", .times = 1000000, .code = 500});
  const std::string body = "{\"Pod\":" + pod + R"(,"Nodes":null,"NodeNames":["n"]})";
  EXPECT_THAT(standby->Post("filter", body), HasSubstr("cache not synced"));
}

TEST_F(TakeoverTest, AFilterSoonAfterAnotherListsNothing) {
  const auto running = Run();
  const auto lists = [&] {
    int count = 0;
    for (const auto& request : api_->journal().All()) {
      const auto selector = request.query.find("labelSelector");
      count += request.path == "/api/v1/pods" && !request.query.contains("watch") &&
               selector != request.query.end() && selector->second == "tessera.dev/managed=true";
    }
    return count;
  };
  CreatePod("p");
  EXPECT_EQ(lists(), 1);
  for (int i = 0; i < 3; ++i) Filter(*running, "p");
  EXPECT_EQ(lists(), 2);
}

class PendingPodTest : public ServiceTest {
 protected:
  static constexpr const char* kEvents = "/apis/events.k8s.io/v1/namespaces/default/events";

  void CreateGiant(const std::string& name) {
    ASSERT_TRUE(client_->Post(
        sim::kPods,
        R"({"metadata":{"name":")" + name +
            R"(","labels":{"tessera.dev/managed":"true"}},"spec":{"containers":[{"name":"c",)"
            R"("image":"x","resources":{"limits":{"tessera.dev/gpu-memory":"5000"}}}]}})"));
  }
  /// As kube-scheduler does.
  void SetUnschedulable(const std::string& pod, const std::string& message) {
    ASSERT_TRUE(client_->Patch(
        Path(pod) + "/status", kube::PatchType::kMerge,
        R"({"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable",)"
        R"("message":)" +
            Quoted(message) + "}]}}"));
  }
  std::vector<std::string> Notes() {
    std::vector<std::string> notes;
    const auto list = client_->List(kEvents);
    EXPECT_TRUE(list);
    for (const auto& event : list->items.GetArray())
      notes.push_back(json::GetString(event, "note").value_or(""));
    return notes;
  }
};

constexpr const char* kSchedulersWords =
    "0/1 nodes are available: 1 Insufficient tessera.dev/gpu-memory.";

TEST_F(PendingPodTest, LearnsWhatIsShortAndByHowMuchOnce) {
  const auto running = Run();
  const auto replica = Run();
  CreateGiant("giant");
  SetUnschedulable("giant", kSchedulersWords);
  ASSERT_TRUE(Soon([&] { return api_->journal().Count("POST", kEvents) == 2u; }))
      << "each replica tries";
  EXPECT_THAT(Notes(), testing::ElementsAre("0/1 nodes have room: 1 insufficient GPU memory: 5000 "
                                            "MiB asked, at most 1000 MiB on such a GPU"));
  const auto event = client_->List(kEvents).value();
  const auto& only = event.items[0];
  EXPECT_EQ(json::GetString(only, "reason").value(), "InsufficientGpu");
  EXPECT_EQ(json::GetString(only, "type").value(), "Warning");
  EXPECT_EQ(json::GetString(only, "reportingController").value(), "tessera-extender");
  EXPECT_EQ(json::GetString(*json::FindPath(only, {"regarding"}), "uid").value(),
            Text(Path("giant"), {"metadata", "uid"}));
  SetUnschedulable("giant", std::string(kSchedulersWords) + " Again.");
  CreateGiant("other");
  SetUnschedulable("other", kSchedulersWords);
  ASSERT_TRUE(Soon([&] { return api_->journal().Count("POST", kEvents) == 4u; }));
  EXPECT_EQ(Notes().size(), 2u) << "one for each pod";
}

TEST_F(PendingPodTest, IsJudgedByAllNodesAfterAStart) {
  CreateGiant("giant");
  SetUnschedulable("giant", kSchedulersWords);
  api_->faults().Add({.method = "GET", .path = "/api/v1/nodes", .times = 2, .code = 500});
  const auto running = Run();
  EXPECT_TRUE(Soon([&] { return !Notes().empty(); })) << "pods were listed before nodes";
}

TEST_F(PendingPodTest, IsNotToldWhatTheSchedulerHasSaidOrWhatIsNotSo) {
  const auto running = Run();
  CreateGiant("told");
  SetUnschedulable("told",
                   "0/1 nodes are available: 1 insufficient GPU memory: 5000 MiB asked, at most "
                   "1000 MiB on such a GPU.");
  CreatePod("cpu");  // fits by its GPUs
  SetUnschedulable("cpu", "0/1 nodes are available: 1 Insufficient cpu.");
  CreateGiant("last");
  SetUnschedulable("last", kSchedulersWords);
  ASSERT_TRUE(Soon([&] { return !Notes().empty(); })) << "pods are judged in order";
  EXPECT_EQ(api_->journal().Count("POST", kEvents), 1u);
}

TEST_F(PendingPodTest, PodsThatFitHoldUpNobody) {
  const auto running = Run();
  for (int i = 0; i < 200; ++i) {
    const std::string name = "cpu-" + std::to_string(i);
    CreatePod(name);
    SetUnschedulable(name, "0/1 nodes are available: 1 Insufficient cpu.");
  }
  CreateGiant("giant");
  SetUnschedulable("giant", kSchedulersWords);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(Soon([&] { return !Notes().empty(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10))
      << "at 5 a second it would be 35";
}

TEST_F(PendingPodTest, AnEventThatCannotBeWrittenIsGivenUp) {
  const auto running = Run();
  api_->faults().Add({.method = "POST", .path = kEvents, .times = 1, .code = 403});
  CreateGiant("giant");
  SetUnschedulable("giant", kSchedulersWords);
  CreateGiant("other");
  SetUnschedulable("other", kSchedulersWords);
  ASSERT_TRUE(Soon([&] { return Notes().size() == 1; }));
  EXPECT_EQ(api_->journal().Count("POST", kEvents), 2u);
}

TEST_F(ServiceTest, APreemptorGetsWhatItsVictimLeaves) {
  const auto running = Run();
  CreatePod("victim");
  ASSERT_EQ(Bind(*running, "victim"), kBound);
  for (const std::string name : {"vip", "thief"}) {
    ASSERT_TRUE(client_->Post(
        sim::kPods,
        R"({"metadata":{"name":")" + name +
            R"(","labels":{"tessera.dev/managed":"true"}},"spec":{"priority":)" +
            (name == "vip" ? "9" : "0") +
            R"(,"containers":[{"name":"c","image":"x",)"
            R"("resources":{"limits":{"tessera.dev/gpu-memory":"600","tessera.dev/gpu-cores":"50"}}}]}})"));
  }
  const std::string uid = Text(Path("victim"), {"metadata", "uid"});
  const auto preempt = [&] {
    return running->Post("preempt",
                         "{\"Pod\":" + json::Dump(client_->Get(Path("vip")).value()) +
                             R"(,"NodeNameToMetaVictims":{"n":{"Pods":[{"UID":"another"}]}}})");
  };
  EXPECT_TRUE(Soon([&] { return preempt().find(uid) != std::string::npos; }))
      << "once the watch has told of the victim";
  ASSERT_TRUE(client_->Patch(Path("vip") + "/status", kube::PatchType::kMerge,
                             R"({"status":{"nominatedNodeName":"n"}})"));
  ASSERT_TRUE(client_->Delete(Path("victim") + "?gracePeriodSeconds=0"));
  EXPECT_TRUE(Soon([&] { return Filter(*running, "vip").find(kPasses) != std::string::npos; }));
  EXPECT_THAT(Filter(*running, "thief"), HasSubstr("insufficient GPU memory"));
  EXPECT_EQ(Bind(*running, "vip"), kBound);
}

}  // namespace
}  // namespace tessera::extender
