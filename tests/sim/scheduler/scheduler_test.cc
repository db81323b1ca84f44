// The scheduling loop against the simulated API server, with an extender that answers from a
// script.
#include "sim/scheduler/scheduler.h"

#include <deque>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/object.h"
#include "tests/fakes/manual_clock.h"
#include "tests/sim/kube/cluster.h"
#include "tests/sim/wait.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

/// Passes every node that it is asked about, or what the test says; binds through the API.
class BindingExtender final : public Extender {
 public:
  explicit BindingExtender(kube::Client& client) : client_(client) {}

  Result<FilterAnswer> Filter(const rapidjson::Value&,
                              const std::vector<std::string>& nodes) override {
    const std::lock_guard lock(mu_);
    ++filters_;
    if (!filter_errors_.empty()) {
      const std::string error = filter_errors_.front();
      filter_errors_.pop_front();
      return Fail(Errc::kUnavailable, error);
    }
    FilterAnswer answer;
    answer.nodes = nodes;
    return answer;
  }
  Result<std::map<std::string, std::int64_t>> Prioritize(const rapidjson::Value&,
                                                         const std::vector<std::string>&) override {
    return std::map<std::string, std::int64_t>{{"n2", 5}};
  }
  Result<void> Bind(const BindingArgs& args) override {
    {
      const std::lock_guard lock(mu_);
      ++binds_;
      if (binds_ <= failing_binds) return Fail(Errc::kUnavailable, "bind refused by the test");
    }
    const auto bound = client_.Post(std::string(kPods) + "/" + args.name + "/binding",
                                    BindingJson(args.name, args.node));
    if (!bound) return tl::make_unexpected(bound.error());
    return {};
  }
  void FailFilterOnce(const std::string& error) {
    const std::lock_guard lock(mu_);
    filter_errors_.push_back(error);
  }
  int filters() {
    const std::lock_guard lock(mu_);
    return filters_;
  }
  int failing_binds = 0;  ///< before the start

 private:
  kube::Client& client_;
  std::mutex mu_;
  std::deque<std::string> filter_errors_;
  int filters_ = 0;
  int binds_ = 0;
};

class SchedulerTest : public ClusterTest {
 protected:
  ~SchedulerTest() override { scheduler_.Stop(); }
  void AddNode(const std::string& name, int gpus) {
    ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":")" + name +
                                                   R"("},"status":{"capacity":{"t/gpu":")" +
                                                   std::to_string(gpus) + "\"}}}"));
  }
  void AddPod(const std::string& name, int gpus, const std::string& scheduler = "ours") {
    ASSERT_TRUE(client_->Post(
        kPods, R"({"metadata":{"name":")" + name + R"("},"spec":{"schedulerName":")" + scheduler +
                   R"(","containers":[{"name":"c","image":"x","resources":{"limits":{"t/gpu":")" +
                   std::to_string(gpus) + "\"}}}]}}"));
  }
  rapidjson::Document Pod(const std::string& name) {
    return client_->Get(std::string(kPods) + "/" + name).value();
  }
  std::string NodeOf(const std::string& name) { return TextAt(Pod(name), {"spec", "nodeName"}); }
  bool WaitForNode(const std::string& pod, const std::string& node) {
    return WaitUntil([&] { return NodeOf(pod) == node; });
  }
  std::string Condition(const std::string& pod) {
    const auto object = Pod(pod);
    const auto* conditions = json::FindPath(object, {"status", "conditions"});
    if (conditions == nullptr || conditions->Empty()) return "";
    return TextAt((*conditions)[0], {"reason"}) + ": " + TextAt((*conditions)[0], {"message"});
  }
  bool WaitForCondition(const std::string& pod, const std::string& part) {
    return WaitUntil([&] { return Condition(pod).find(part) != std::string::npos; });
  }
  /// Ends every back-off: the event makes the loop look at the clock.
  void NextSeconds(const std::string& node) {
    manual_.Advance(std::chrono::seconds(20));
    ASSERT_TRUE(client_->Patch(
        "/api/v1/nodes/" + node, kube::PatchType::kMerge,
        R"({"metadata":{"annotations":{"step":")" + std::to_string(++steps_) + "\"}}}"));
  }

  ManualClock manual_;
  int steps_ = 0;
  std::unique_ptr<kube::Client> own_client_ = MakeClient();
  BindingExtender extender_{*own_client_};
  Scheduler scheduler_{*own_client_, extender_, {{"t/gpu"}, 1}, manual_, "ours"};
};

TEST_F(SchedulerTest, BindsToTheNodeWithTheBestScore) {
  AddNode("n1", 8);
  AddNode("n2", 8);
  AddPod("p", 1);
  AddPod("foreign", 1, "default-scheduler");
  scheduler_.Start();
  EXPECT_TRUE(WaitForNode("p", "n2"));
  EXPECT_EQ(NodeOf("foreign"), "");
}

TEST_F(SchedulerTest, WhatIsBoundCountsForTheNextPod) {
  AddNode("n1", 8);
  AddNode("n2", 8);
  scheduler_.Start();
  AddPod("a", 6);
  AddPod("b", 6);
  AddPod("c", 6);
  EXPECT_TRUE(WaitForNode("a", "n2"));
  EXPECT_TRUE(WaitForNode("b", "n1"));
  EXPECT_TRUE(
      WaitForCondition("c", "Unschedulable: 0/2 nodes are available: 2 Insufficient t/gpu."));
}

TEST_F(SchedulerTest, AWaitingPodIsTriedAgainWhenRoomAppears) {
  AddNode("n1", 8);
  scheduler_.Start();
  AddPod("a", 8);
  ASSERT_TRUE(WaitForNode("a", "n1"));
  AddPod("b", 8);
  ASSERT_TRUE(WaitForCondition("b", "Insufficient"));
  ASSERT_TRUE(client_->Delete(std::string(kPods) + "/a?gracePeriodSeconds=0"));
  // The two watches are not in step: the loop may look once more before it hears that the room is
  // there.
  EXPECT_TRUE(WaitUntil([&] {
    NextSeconds("n1");
    return NodeOf("b") == "n1";
  })) << Condition("b");
}

TEST_F(SchedulerTest, AnExtendersErrorIsToldAndTriedAgain) {
  AddNode("n1", 8);
  extender_.FailFilterOnce("cache not synced");
  scheduler_.Start();
  AddPod("p", 1);
  ASSERT_TRUE(WaitForCondition("p", "SchedulerError: cache not synced"));
  NextSeconds("n1");
  EXPECT_TRUE(WaitForNode("p", "n1"));
}

TEST_F(SchedulerTest, ABindThatFailsGivesTheResourcesBack) {
  AddNode("n1", 8);
  extender_.failing_binds = 1;
  scheduler_.Start();
  AddPod("a", 8);
  ASSERT_TRUE(WaitForCondition("a", "bind refused by the test"));
  AddPod("b", 8);
  EXPECT_TRUE(WaitForNode("b", "n1"));
}

TEST_F(SchedulerTest, APodWithoutManagedResourcesIsBoundWithoutTheExtender) {
  AddNode("n1", 8);
  scheduler_.Start();
  ASSERT_TRUE(client_->Post(kPods, R"({"metadata":{"name":"p"},"spec":{"schedulerName":"ours",
      "containers":[{"name":"c","image":"x"}]}})"));
  EXPECT_TRUE(WaitForNode("p", "n1"));
  EXPECT_EQ(extender_.filters(), 0);
}

TEST(UnscheduledPatch, KeepsOtherConditionsAndSaysNothingTwice) {
  const auto pod = json::Parse(R"({"status":{"conditions":[{"type":"Ready","status":"False"},
      {"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"m"}]}})")
                       .value();
  EXPECT_EQ(UnscheduledPatch(pod, "Unschedulable", "m", "now"), "");
  const std::string patch = UnscheduledPatch(pod, "Unschedulable", "other", "now");
  EXPECT_THAT(patch, HasSubstr(R"({"type":"Ready","status":"False"})"));
  EXPECT_THAT(patch, HasSubstr("\"message\":\"other\""));
}

}  // namespace
}  // namespace tessera::sim
