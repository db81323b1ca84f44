#include "extender/watch.h"

#include "common/contract/names.h"
#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

using binpack::Amount;

constexpr Amount kNothing{0, 0};

class WatchTest : public CacheTest {
 protected:
  static std::string Quoted(const std::string& text) {
    json::Writer writer;
    writer.String(text);
    return writer.Take();
  }
  void Pod(const std::string& uid, const std::string& node, const std::string& assignment,
           const std::string& phase = "Running") {
    const std::string annotations =
        assignment.empty() ? "{}" : "{\"tessera.dev/assignment\":" + Quoted(assignment) + "}";
    Apply(R"({"metadata":{"namespace":"d","name":"p","uid":")" + uid + R"(","annotations":)" +
          annotations + R"(},"spec":{"nodeName":")" + node + R"("},"status":{"phase":")" + phase +
          "\"}}");
  }
  void Apply(const std::string& pod) {
    const auto document = json::Parse(pod);
    ASSERT_TRUE(document) << pod;
    ApplyPod(cache_, *document);
  }
  void Node(const std::string& name, const std::string& inventory) {
    const std::string annotations =
        inventory.empty() ? "{}" : "{\"tessera.dev/inventory\":" + Quoted(inventory) + "}";
    const auto document =
        json::Parse(R"({"metadata":{"name":")" + name + R"(","annotations":)" + annotations + "}}");
    ASSERT_TRUE(document);
    ApplyNode(cache_, *document);
  }
};

const std::string kAssignment = contract::EncodeAssignment(Given("n", 0, 600, 50));

TEST_F(WatchTest, ARestartRebuildsWhatWasThere) {
  // What the API server holds, told in any order.
  Pod("u1", "n", kAssignment);
  Node("n", contract::EncodeInventory(Gpus("n", 2)));
  Pod("u2", "n", contract::EncodeAssignment(Given("n", 1, 300, 20)));
  EXPECT_EQ(Committed(cache_, "n", 0), (Amount{600, 50}));
  EXPECT_EQ(Committed(cache_, "n", 1), (Amount{300, 20}));
  EXPECT_EQ(cache_.NodeOf("u1"), "n");
}

TEST_F(WatchTest, EndedPodsHoldNothingAndTerminatingOnesDo) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  for (const char* phase : {"Succeeded", "Failed"}) {
    Pod("u", "n", kAssignment);
    EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
    Pod("u", "n", kAssignment, phase);
    EXPECT_EQ(Committed(cache_, "n"), kNothing);
  }
  Apply(
      R"({"metadata":{"namespace":"d","name":"p","uid":"u","deletionTimestamp":"2026-11-22T00:00:00Z","annotations":)"
      R"({"tessera.dev/assignment":)" +
      Quoted(kAssignment) + R"(}},"spec":{"nodeName":"n"},"status":{"phase":"Running"}})");
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50})) << "its processes may still run";
}

TEST_F(WatchTest, PendingPodsChangeNothingNotEvenAnAssumedOne) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  ASSERT_TRUE(cache_.AssumePod("u", "n", Ask(600, 50)));
  Pod("u", "", "", "Pending");
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(WatchTest, PodsThatOthersBoundWithoutAnAssignmentHoldNothing) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  ASSERT_TRUE(cache_.AssumePod("u", "n", Ask(600, 50)));
  Pod("u", "n", "");
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
}

TEST_F(WatchTest, AnUnknownVersionClosesTheNode) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  for (const char* text : {R"({"version":2})", "not JSON", "{}"}) {
    Pod("u", "n", text);
    EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->refusal, kRefusalUnknownAssignment) << text;
  }
  Pod("u", "n", kAssignment);
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->refusal, "");
}

TEST_F(WatchTest, NodesWithoutOrWithABadInventoryAreClosed) {
  Node("n", "");
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->refusal, kRefusalNoInventory);
  Node("n", "{");
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->refusal, kRefusalBadInventory);
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->refusal, "");
}

TEST_F(WatchTest, AListThatLacksAnAssumedPodFreesItsGpus) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  const auto pods = PodHandlers(cache_);
  const auto list = [&](const std::string& uid) {
    pods.on_list();
    if (!uid.empty()) {
      const auto pod = json::Parse(R"({"metadata":{"name":"p","uid":")" + uid + "\"}}");
      pods.on_upsert(*pod);
    }
    pods.on_synced();
  };
  list("");
  ASSERT_TRUE(cache_.AssumePod("u", "n", Ask(600, 50)));
  cache_.KeepPod("u", Cache::Write::kArrived);
  list("u");
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50})) << "listed";
  pods.on_list();  // and the list fails
  list("other");
  EXPECT_EQ(Committed(cache_, "n"), kNothing) << "deleted while nobody watched";
}

TEST_F(WatchTest, StrangeObjectsAreLeftAlone) {
  for (
      const char* text :
      {"{}", "[]", "7", R"({"metadata":7})", R"({"metadata":{"name":"p"}})",
       R"({"metadata":{"name":7,"uid":"u"}})",
       R"({"metadata":{"name":"p","uid":"u","annotations":7},"spec":{"nodeName":7},"status":7})"}) {
    Apply(text);
    const auto document = json::Parse(text);
    ApplyNode(cache_, *document);
  }
  EXPECT_EQ(cache_.NodeOf("u"), std::nullopt);
}

TEST_F(WatchTest, CpuComesFromTheNodesStatusAndThePodsSpec) {
  const auto node =
      json::Parse(R"({"metadata":{"name":"n","annotations":{"tessera.dev/inventory":)" +
                  Quoted(contract::EncodeInventory(Gpus("n", 1))) +
                  R"(}},"status":{"capacity":{"cpu":"16"},"allocatable":{"cpu":"15500m"}}})");
  ASSERT_TRUE(node);
  ApplyNode(cache_, *node);
  Apply(R"({"metadata":{"namespace":"d","name":"p","uid":"u","annotations":{)"
        R"("tessera.dev/assignment":)" +
        Quoted(kAssignment) + R"(}},"spec":{"nodeName":"n","overhead":{"cpu":"100m"},)" +
        R"("containers":[{"name":"c","resources":{"requests":{"cpu":"2"}}}]}})");
  const auto view = cache_.UpdateSnapshot();
  EXPECT_EQ(view->Find("n")->committed.cpu_milli, 15500);
  EXPECT_EQ(view->Find("n")->committed.cpu_used_milli, 2100);
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(WatchTest, ANominationLastsAsLongAsThePodsStatusSaysSo) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  cache_.Nominate("u", "n", Ask(600, 50), 9, Given("n", 0, 600, 50).placement);
  const auto unbound = [&](const std::string& status) {
    Apply(R"({"metadata":{"namespace":"d","name":"p","uid":"u"},"spec":{},"status":{)" + status +
          "}}");
  };
  unbound(R"("nominatedNodeName":"n")");
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(Held(cache_, "n"), (Amount{600, 50}));
  unbound("");
  EXPECT_EQ(Held(cache_, "n"), kNothing);
}

TEST_F(WatchTest, ANominatedPodThatTerminatesHoldsNothingHoweverLongItStays) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  cache_.Nominate("u", "n", Ask(600, 50), 9, Given("n", 0, 600, 50).placement);
  const auto unbound = [&](const std::string& more_metadata) {
    Apply(R"({"metadata":{"namespace":"d","name":"p","uid":"u")" + more_metadata +
          R"(},"spec":{},"status":{"nominatedNodeName":"n"}})");
  };
  unbound("");
  EXPECT_EQ(Held(cache_, "n"), (Amount{600, 50}));
  unbound(R"(,"finalizers":["d/x"],"deletionTimestamp":"1970-01-01T00:01:00Z")");
  EXPECT_EQ(Held(cache_, "n"), kNothing);
}

TEST_F(WatchTest, PriorityAgeAndDeletionOfABoundPodAreKnown) {
  Node("n", contract::EncodeInventory(Gpus("n", 1)));
  const auto tenant = [&](const std::string& more_metadata, const std::string& status) {
    json::Writer assignment;
    assignment.String(kAssignment);
    Apply(
        R"({"metadata":{"namespace":"d","name":"p","uid":"u","annotations":{"tessera.dev/assignment":)" +
        assignment.Take() + "}" + more_metadata +
        R"(},"spec":{"nodeName":"n","priority":7},"status":{)" + status + "}}");
    return cache_.OccupancyOf("n", "other", 0).value().tenants.at(0);
  };
  const auto bound = tenant(R"(,"creationTimestamp":"1970-01-01T00:00:05Z")", "");
  EXPECT_EQ(std::tie(bound.priority, bound.started, bound.terminating), std::tuple(7, 5, false));
  EXPECT_TRUE(bound.evictable);
  const auto leaving = tenant(R"(,"deletionTimestamp":"1970-01-01T00:01:00Z")",
                              R"("startTime":"1970-01-01T00:00:09Z")");
  EXPECT_EQ(std::tie(leaving.priority, leaving.started, leaving.terminating),
            std::tuple(7, 9, true))
      << "an update that changes no GPU counts too";
}

}  // namespace
}  // namespace tessera::extender
