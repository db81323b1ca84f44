#include "sim/scheduler/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = Decision::Kind;

/// Answers from a script and keeps a journal of what it was asked.
class ScriptedExtender final : public Extender {
 public:
  Result<FilterAnswer> Filter(const rapidjson::Value&,
                              const std::vector<std::string>& nodes) override {
    std::string line = "filter";
    for (const auto& node : nodes) line += " " + node;
    journal.push_back(line);
    return filter;
  }
  Result<std::map<std::string, std::int64_t>> Prioritize(
      const rapidjson::Value&, const std::vector<std::string>& nodes) override {
    journal.push_back("prioritize " + std::to_string(nodes.size()));
    return scores;
  }
  Result<void> Bind(const BindingArgs&) override { return {}; }

  Result<FilterAnswer> filter = FilterAnswer{};
  Result<std::map<std::string, std::int64_t>> scores = std::map<std::string, std::int64_t>{};
  std::vector<std::string> journal;
};

class DecideTest : public testing::Test {
 protected:
  Decision Run(const std::vector<NodeView>& nodes, const std::string& spec_members = "") {
    const auto pod =
        json::Parse(R"({"spec":{"containers":[{"resources":{"limits":{"t/gpu":"1"}}}])" +
                    spec_members + "}}")
            .value();
    return Decide(pod, nodes, extender_, policy_);
  }
  static NodeView Node(const std::string& name, std::int64_t gpus = 8) {
    NodeView node;
    node.name = name;
    node.capacity = {{"t/gpu", gpus}};
    return node;
  }
  ScriptedExtender extender_;
  SchedulerPolicy policy_{{"t/gpu"}, 1};
};

TEST_F(DecideTest, OneNodeLeftIsChosenWithoutPrioritize) {
  extender_.filter->nodes = {"b"};
  extender_.filter->failed = {{"a", "full"}};
  const Decision decision = Run({Node("a"), Node("b")});
  EXPECT_EQ(decision.kind, Kind::kNode);
  EXPECT_EQ(decision.node, "b");
  EXPECT_THAT(extender_.journal, ElementsAre("filter a b"));
}

TEST_F(DecideTest, TheHighestScoreWinsAndTiesGoToTheFirstName) {
  extender_.filter->nodes = {"c", "a", "b"};
  extender_.scores =
      std::map<std::string, std::int64_t>{{"a", 5}, {"b", 7}, {"c", 7}, {"stranger", 100}};
  EXPECT_EQ(Run({Node("a"), Node("b"), Node("c")}).node, "b");
  extender_.scores = std::map<std::string, std::int64_t>{};
  EXPECT_EQ(Run({Node("a"), Node("b"), Node("c")}).node, "a");
}

TEST_F(DecideTest, AnErrorOfPrioritizeCostsOnlyTheScores) {
  extender_.filter->nodes = {"a", "b"};
  extender_.scores = Fail(Errc::kUnavailable, "no");
  EXPECT_EQ(Run({Node("a"), Node("b")}).node, "a");
}

TEST_F(DecideTest, OnlyNodesThatPassTheBuiltInFiltersAreAskedAbout) {
  NodeView cordoned = Node("cordoned");
  cordoned.unschedulable = true;
  NodeView busy = Node("busy");
  busy.used = {{"t/gpu", 8}};
  extender_.filter->unresolvable = {{"free", "no such model"}};
  const Decision decision = Run({Node("free"), cordoned, busy, Node("none", 0)});
  EXPECT_THAT(extender_.journal, ElementsAre("filter free"));
  EXPECT_EQ(decision.kind, Kind::kUnschedulable);
  EXPECT_EQ(decision.message,
            "0/4 nodes are available: 1 no such model, 1 node(s) were unschedulable, 2 "
            "Insufficient t/gpu.");
}

TEST_F(DecideTest, TheNodeSelectorIsHonoured) {
  NodeView labelled = Node("b");
  labelled.labels = {{"zone", "x"}};
  extender_.filter->nodes = {"b"};
  EXPECT_EQ(Run({Node("a"), labelled}, R"(,"nodeSelector":{"zone":"x"})").node, "b");
  EXPECT_THAT(extender_.journal, ElementsAre("filter b"));
}

TEST_F(DecideTest, WithNoNodeLeftTheExtenderIsNotAsked) {
  EXPECT_EQ(Run({Node("a", 0)}).message, "0/1 nodes are available: 1 Insufficient t/gpu.");
  EXPECT_EQ(Run({}).message, "no nodes available to schedule pods");
  EXPECT_THAT(extender_.journal, IsEmpty());
}

TEST_F(DecideTest, ExtenderErrorsAreThePodsError) {
  extender_.filter = Fail(Errc::kUnavailable, "cache not synced");
  const Decision decision = Run({Node("a")});
  EXPECT_EQ(decision.kind, Kind::kError);
  EXPECT_EQ(decision.message, "cache not synced");
}

TEST_F(DecideTest, ANodeThatWasNotAskedAboutIsAnError) {
  extender_.filter->nodes = {"stranger"};
  const Decision decision = Run({Node("a")});
  EXPECT_EQ(decision.kind, Kind::kError);
  EXPECT_THAT(decision.message, HasSubstr("\"stranger\""));
}

TEST_F(DecideTest, APodWithoutManagedResourcesNeverReachesTheExtender) {
  policy_.managed_resources = {"other/resource"};
  EXPECT_EQ(Run({Node("b"), Node("a")}).node, "a");
  EXPECT_THAT(extender_.journal, IsEmpty());
}

TEST(UnschedulableMessage, CountsEqualReasonsAndSortsTexts) {
  EXPECT_EQ(UnschedulableMessage(3, {{"a", {"x", "y"}}, {"b", {"x"}}, {"c", {"x"}}}),
            "0/3 nodes are available: 1 y, 3 x.");
  EXPECT_EQ(UnschedulableMessage(2, {}), "0/2 nodes are available.");
}

}  // namespace
}  // namespace tessera::sim
