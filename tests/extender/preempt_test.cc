// The preempt verb on the cache: which node and pods, and what is held until the victims have left.
#include "extender/preempt.h"

#include <gmock/gmock.h>

#include "extender/filter.h"
#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

using binpack::Amount;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int32_t kHigh = 100;

class PreemptTest : public CacheTest {
 protected:
  /// A bound pod on one GPU.
  void Add(const std::string& uid, const std::string& node, int gpu, std::int64_t memory_mib,
           const Importance& importance = {.priority = 1}) {
    cache_.AddPod(uid, node, Given(node, gpu, memory_mib, 0), 0, importance);
  }
  static WirePod Pod(const std::string& uid, std::int64_t memory_mib,
                     std::int32_t priority = kHigh) {
    return {.uid = uid,
            .ns = "default",
            .name = uid,
            .managed = true,
            .priority = priority,
            .request = Ask(memory_mib, 0)};
  }
  std::vector<NodeVictims> Preempted(const WirePod& pod, std::vector<NodeVictims> nodes) {
    const auto answer = preempt_.Handle({pod, std::move(nodes)});
    EXPECT_TRUE(answer) << answer.error().message;
    return answer.value_or(std::vector<NodeVictims>{});
  }
  std::vector<std::string> VictimsOn(const WirePod& pod, const std::string& node,
                                     std::vector<std::string> offered) {
    const auto nodes = Preempted(pod, {{.node = node, .uids = std::move(offered)}});
    return nodes.empty() ? std::vector<std::string>{} : nodes[0].uids;
  }
  /// The nodes that a filter lets the pod pass to.
  std::vector<std::string> Filtered(const WirePod& pod, std::vector<std::string> nodes) {
    ExtenderArgs args{.pod = pod, .node_names = std::move(nodes), .nodes = {}};
    return filter_.Handle(args)->node_names;
  }
  /// Two GPUs, two halves each, from the oldest to the youngest: a and c on the first.
  void FourHalves() {
    AddNode(cache_, "n", 2);
    Add("a", "n", 0, 500, {.priority = 1, .started = 1});
    Add("b", "n", 1, 500, {.priority = 1, .started = 2});
    Add("c", "n", 0, 500, {.priority = 1, .started = 3});
    Add("d", "n", 1, 500, {.priority = 1, .started = 4});
  }

  Preempt preempt_{cache_, ranking_, [] { return true; }};
  Filter filter_{cache_, ranking_, verdicts_, {}, [] { return true; }, {}};
};

TEST_F(PreemptTest, VictimsThatFreeAGpuStayAsTheyAre) {
  FourHalves();
  EXPECT_THAT(VictimsOn(Pod("p", 1000), "n", {"c", "a", "without-gpu"}),
              ElementsAre("c", "a", "without-gpu"));
  EXPECT_THAT(VictimsOn(Pod("p", 500), "n", {"a", "b", "c"}), ElementsAre("a", "b", "c"))
      << "the scheduler may need them for other resources";
}

TEST_F(PreemptTest, VictimsThatFreeNoGpuAreReplacedByThoseInTheWay) {
  FourHalves();
  EXPECT_THAT(VictimsOn(Pod("p", 1000), "n", {"d", "c", "without-gpu"}),
              ElementsAre("b", "d", "without-gpu"));
}

TEST_F(PreemptTest, NodesOfNoUseAreDropped) {
  AddNode(cache_, "equals", 1);
  Add("e", "equals", 0, 900, {.priority = kHigh});
  AddNode(cache_, "small", 1);
  cache_.SetNode("noagent", std::nullopt);
  const std::vector<NodeVictims> offered = {{.node = "equals", .uids = {"x"}},
                                            {.node = "noagent", .uids = {"x"}},
                                            {.node = "unknown", .uids = {"x"}},
                                            {.node = "small", .uids = {}}};
  EXPECT_THAT(Preempted(Pod("p", 1000), offered), IsEmpty()) << "small has room and no victim";
}

TEST_F(PreemptTest, TheNodeWhereTheLeastIsLostIsAnswered) {
  for (const std::string node : {"a", "b", "c", "d"}) AddNode(cache_, node, 1);
  Add("a0", "a", 0, 900, {.priority = 7});
  Add("b0", "b", 0, 900, {.priority = 5});
  Add("c0", "c", 0, 900, {.priority = 1});
  Add("d0", "d", 0, 900, {.priority = 1});
  const auto offered = [](std::int64_t violations_d, std::vector<std::string> more_c) {
    std::vector<NodeVictims> nodes;
    for (const std::string node : {"a", "b", "c", "d"})
      nodes.push_back({.node = node, .uids = {node + "0"}});
    nodes[2].uids.insert(nodes[2].uids.end(), more_c.begin(), more_c.end());
    nodes[3].pdb_violations = violations_d;
    return nodes;
  };
  const auto node_of = [](const std::vector<NodeVictims>& nodes) {
    return nodes.size() == 1 ? nodes[0].node : "not one";
  };
  EXPECT_EQ(node_of(Preempted(Pod("p", 1000), offered(0, {}))), "c");
  EXPECT_EQ(node_of(Preempted(Pod("p", 1000), offered(0, {"cpu-only"}))), "d");
  EXPECT_EQ(node_of(Preempted(Pod("p", 1000), offered(1, {"cpu-only"}))), "b");
  EXPECT_EQ(Preempted(Pod("p", 1000), {offered(3, {})[3]})[0].pdb_violations, 3);
}

TEST_F(PreemptTest, AGpuInAnotherModeIsEmptiedAsAWhole) {
  AddMpsNode(cache_, "n", 1);
  Add("a", "n", 0, 100);
  Add("b", "n", 0, 100);
  WirePod client = Pod("p", 100);
  client.request = AskMps(100, 10);
  EXPECT_THAT(VictimsOn(client, "n", {"x"}), ElementsAre("a", "b", "x"));
  cache_.RemovePod("a");
  EXPECT_THAT(Filtered(client, {"n"}), IsEmpty());
  EXPECT_THAT(Filtered(Pod("in-turns", 100, 0), {"n"}), IsEmpty()) << "p is nominated to it";
  cache_.RemovePod("b");
  EXPECT_THAT(Filtered(Pod("in-turns", 100, 0), {"n"}), IsEmpty());
  EXPECT_THAT(Filtered(client, {"n"}), ElementsAre("n"));
}

TEST_F(PreemptTest, PodsThatLeaveAnywayAreNotNeeded) {
  AddNode(cache_, "n", 2);
  Add("leaves", "n", 0, 1000, {.priority = kHigh, .terminating = true});
  Add("stays", "n", 1, 1000);
  EXPECT_THAT(VictimsOn(Pod("p", 1000), "n", {"cpu-only"}), ElementsAre("cpu-only"));
  EXPECT_THAT(Filtered(Pod("q", 1000, 0), {"n"}), IsEmpty());
  cache_.RemovePod("leaves");
  EXPECT_THAT(Filtered(Pod("q", 1000, 0), {"n"}), IsEmpty()) << "p is nominated to it";
  EXPECT_THAT(Filtered(Pod("p", 1000), {"n"}), ElementsAre("n"));
}

TEST_F(PreemptTest, APodWhoseBindIsUnderWayIsNoVictim) {
  AddNode(cache_, "n", 1);
  ASSERT_TRUE(cache_.AssumePod("binding", "n", Ask(900, 0)));
  EXPECT_THAT(VictimsOn(Pod("p", 1000), "n", {"x"}), IsEmpty());
  cache_.AddPod("binding", "n", Given("n", 0, 900, 0), 0, {.priority = 1});
  EXPECT_THAT(VictimsOn(Pod("p", 1000), "n", {"x"}), ElementsAre("binding", "x"));
}

TEST_F(PreemptTest, WhatIsFreedIsKeptFromOthersUntilItsPodComes) {
  AddNode(cache_, "n", 1);
  Add("v", "n", 0, 1000);
  EXPECT_THAT(VictimsOn(Pod("p", 900), "n", {"v"}), ElementsAre("v"));
  EXPECT_THAT(Filtered(Pod("p", 900), {"n"}), IsEmpty()) << "the victim is still there";
  cache_.RemovePod("v");
  EXPECT_EQ(Held(cache_, "n"), (Amount{900, 0})) << "the filter before did not end it";
  EXPECT_THAT(Filtered(Pod("thief", 900, 0), {"n"}), IsEmpty());
  EXPECT_THAT(Filtered(Pod("equal", 900, kHigh), {"n"}), IsEmpty());
  EXPECT_THAT(Filtered(Pod("p", 900), {"n"}), ElementsAre("n"));
  EXPECT_TRUE(cache_.AssumePod("p", "n", Ask(900, 0)));
}

TEST_F(PreemptTest, AMoreImportantPodDoesNotWaitForANominatedOne) {
  AddNode(cache_, "n", 1);
  Add("v", "n", 0, 1000);
  VictimsOn(Pod("p", 900), "n", {"v"});
  cache_.RemovePod("v");
  EXPECT_THAT(Filtered(Pod("boss", 900, kHigh + 1), {"n"}), ElementsAre("n"));
  EXPECT_THAT(Filtered(Pod("p", 900), {"n"}), IsEmpty()) << "the boss's hold is firm";
}

TEST_F(PreemptTest, TwoPreemptorsAreNotPromisedOneGpu) {
  AddNode(cache_, "n", 2);
  Add("v", "n", 0, 1000);
  Add("w", "n", 1, 1000);
  const auto first = VictimsOn(Pod("p", 1000), "n", {"v"});
  const auto second = VictimsOn(Pod("q", 1000), "n", {"v"});
  EXPECT_THAT(first, ElementsAre("v"));
  EXPECT_THAT(second, ElementsAre("w")) << "v's GPU is p's";
}

TEST_F(PreemptTest, ANominationEndsAfterAMinuteUnlessTheServerTellsOfIt) {
  AddNode(cache_, "n", 1);
  Add("v", "n", 0, 1000);
  const auto nominate = [&] {
    cache_.SeeNomination("p", "");
    VictimsOn(Pod("p", 900), "n", {"v"});
    EXPECT_EQ(Held(cache_, "n"), (Amount{1900, 0}));
  };
  nominate();
  cache_.SeeNomination("p", "") /* older than the nomination */;
  clock_.Advance(Cache::kNominationTime - std::chrono::milliseconds(1));
  EXPECT_EQ(Held(cache_, "n"), (Amount{1900, 0}));
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_EQ(Held(cache_, "n"), (Amount{1000, 0}));

  nominate();
  cache_.SeeNomination("p", "n");
  clock_.Advance(std::chrono::hours(3));
  EXPECT_EQ(Held(cache_, "n"), (Amount{1900, 0})) << "victims may take hours to end";
  cache_.SeeNomination("p", "other");
  EXPECT_EQ(Held(cache_, "n"), (Amount{1000, 0}));

  nominate();
  cache_.SeeNomination("p", "n");
  cache_.RemovePod("p");
  EXPECT_EQ(Held(cache_, "n"), (Amount{1000, 0}));
}

TEST_F(PreemptTest, ShortHoldsEndInTimeBehindALongOne) {
  AddNode(cache_, "n", 1);
  AddNode(cache_, "m", 1);
  Add("v", "n", 0, 1000);
  VictimsOn(Pod("p", 900), "n", {"v"});
  EXPECT_THAT(Filtered(Pod("q", 900), {"m"}), ElementsAre("m"));
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_EQ(Held(cache_, "m"), (Amount{0, 0}));
}

TEST_F(PreemptTest, PodsThatNobodyBindsEvictNobody) {
  FourHalves();
  WirePod pod = Pod("p", 1000);
  pod.managed = false;
  EXPECT_THAT(VictimsOn(pod, "n", {"a", "c"}), IsEmpty());
  pod.request = {};
  EXPECT_THAT(VictimsOn(pod, "n", {"a"}), ElementsAre("a")) << "without GPUs it is not our matter";
  const Preempt unsynced{cache_, ranking_, [] { return false; }};
  EXPECT_FALSE(unsynced.Handle({Pod("p", 1000), {}}));
}

}  // namespace
}  // namespace tessera::extender
