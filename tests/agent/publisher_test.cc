#include "agent/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/wire.h"
#include "common/contract/names.h"
#include "tests/agent/stub_client.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

contract::Inventory TwoGpus() {
  contract::Inventory inventory;
  inventory.driver_version = "580.95.05";
  for (int i = 0; i < 2; ++i) {
    binpack::GpuDevice gpu;
    gpu.uuid = "GPU-" + std::to_string(i);
    gpu.index = i;
    gpu.model = "Model";
    gpu.memory_mib = 24000;
    inventory.gpus.push_back(gpu);
  }
  return inventory;
}

class Publisher : public ::testing::Test {
 protected:
  /// The watch tells what the node says now.
  void Watch() { publisher_.Observe(DecodeNode(json::Parse(client_.node()).value()).value()); }
  NodeView Node() { return DecodeNode(json::Parse(client_.node()).value()).value(); }

  StubClient client_;
  ManualClock clock_;
  NodePublisher publisher_{client_, "n1", clock_};
};

TEST(PlanNode, SaysOnlyWhatDiffers) {
  const auto inventory = TwoGpus();
  NodeView node;
  EXPECT_TRUE(PlanNode(node, inventory).metadata);
  EXPECT_TRUE(PlanNode(node, inventory).status);
  node.inventory = contract::EncodeInventory(inventory);
  EXPECT_FALSE(PlanNode(node, inventory).metadata);
  node.capacity = {{"tessera.dev/gpu", "200"},
                   {"tessera.dev/gpu-memory", "48k"},
                   {"tessera.dev/gpu-memory-percent", "200"},
                   {"tessera.dev/gpu-cores", "200"}};
  EXPECT_TRUE(PlanNode(node, inventory).empty());
  node.capacity["tessera.dev/gpu-cores"] = "0";
  EXPECT_EQ(PlanNode(node, inventory).status.value_or(""),
            R"({"status":{"capacity":{"tessera.dev/gpu-cores":"200"}}})");
  node.capacity["tessera.dev/gpu-cores"] = "rubbish";
  EXPECT_TRUE(PlanNode(node, inventory).status);
}

TEST(PlanNode, ANodeWithoutGpusNeedsNoCapacity) {
  NodeView node;
  node.inventory = contract::EncodeInventory({});
  EXPECT_TRUE(PlanNode(node, {}).empty());
}

TEST(CapacityOf, CountsHealthyGpusOnly) {
  auto inventory = TwoGpus();
  inventory.gpus[0].healthy = false;
  const auto capacity = CapacityOf(inventory);
  EXPECT_EQ(capacity.at("tessera.dev/gpu"), 100);
  EXPECT_EQ(capacity.at("tessera.dev/gpu-memory"), 24000);
  EXPECT_EQ(capacity.at("tessera.dev/gpu-memory-percent"), 100);
  EXPECT_EQ(capacity.at("tessera.dev/gpu-cores"), 100);
}

TEST_F(Publisher, NothingIsAskedBeforeBothSidesAreKnown) {
  EXPECT_EQ(publisher_.Reconcile().value(), 0);
  publisher_.SetInventory(TwoGpus());
  EXPECT_EQ(publisher_.Reconcile().value(), 0);
  EXPECT_THAT(client_.journal(), IsEmpty());
  EXPECT_NE(publisher_.NotPublishedReason(), "");
}

TEST_F(Publisher, WritesInventoryAndCapacityOnceAndThenNothing) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
  EXPECT_THAT(client_.journal(), ElementsAre("GET /api/v1/nodes/n1", "MERGE /api/v1/nodes/n1",
                                             "MERGE /api/v1/nodes/n1/status"));
  EXPECT_EQ(contract::DecodeInventory(Node().inventory).value(), TwoGpus());
  EXPECT_EQ(publisher_.NotPublishedReason(), "");
  client_.ClearJournal();
  for (int i = 0; i < 10; ++i) {
    publisher_.SetInventory(TwoGpus());
    Watch();
    clock_.Advance(std::chrono::seconds(30));
    EXPECT_EQ(publisher_.Reconcile().value(), 0);
  }
  EXPECT_THAT(client_.journal(), IsEmpty());
}

TEST_F(Publisher, ASlowWatchCausesNoSecondWrite) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
  client_.ClearJournal();
  NodeView stale;
  stale.inventory = "from before";
  publisher_.Observe(stale);
  EXPECT_EQ(publisher_.Reconcile().value(), 0);
  EXPECT_THAT(client_.journal(), ElementsAre("GET /api/v1/nodes/n1"));
}

TEST_F(Publisher, DriftIsRepaired) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
  Watch();
  EXPECT_EQ(publisher_.Reconcile().value(), 0);
  client_.SetNode(R"({"metadata":{"name":"n1"}})");  // recreated by its kubelet
  Watch();
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
  EXPECT_EQ(Node().capacity.at("tessera.dev/gpu"), "200");
}

TEST_F(Publisher, AFightWithAnotherWriterSlowsDown) {
  publisher_.SetInventory(TwoGpus());
  int writes = 0;
  for (int tick = 0; tick < 4 * 600; ++tick) {
    client_.SetNode(R"({"metadata":{"name":"n1"}})");
    Watch();
    publisher_.Reconcile();
    Watch();
    writes += Node().inventory.empty() ? 0 : 1;
    clock_.Advance(std::chrono::milliseconds(250));
  }
  EXPECT_GE(writes, 600 / 30) << "it goes on saying what is so";
  EXPECT_LE(writes, 600 / 30 + 10);
}

TEST_F(Publisher, AfterACalmTheFirstRepairIsAtOnce) {
  publisher_.SetInventory(TwoGpus());
  for (int i = 0; i < 5; ++i) {
    client_.SetNode(R"({"metadata":{"name":"n1"}})");
    Watch();
    EXPECT_EQ(publisher_.Reconcile().value(), 2);
    Watch();
    EXPECT_EQ(publisher_.Reconcile().value(), 0);
    clock_.Advance(NodePublisher::kCalm);
  }
}

TEST_F(Publisher, AFailedWriteIsTriedAgainAfterAPauseThatGrows) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  client_.FailNext(3, "/status", {Errc::kUnavailable, "etcd is away"});
  ASSERT_FALSE(publisher_.Reconcile().has_value());
  EXPECT_THAT(publisher_.NotPublishedReason(), HasSubstr("etcd is away"));
  EXPECT_EQ(publisher_.Reconcile().value(), 0) << "within the pause nothing is tried";
  clock_.Advance(std::chrono::seconds(1));
  ASSERT_FALSE(publisher_.Reconcile().has_value());
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(publisher_.Reconcile().value(), 0) << "the second pause is longer";
  clock_.Advance(std::chrono::seconds(1));
  ASSERT_FALSE(publisher_.Reconcile().has_value());
  clock_.Advance(NodePublisher::kLongestPause);
  EXPECT_EQ(publisher_.Reconcile().value(), 1) << "the annotation was written by the first attempt";
  EXPECT_EQ(Node().capacity.at("tessera.dev/gpu"), "200");
  EXPECT_EQ(publisher_.NotPublishedReason(), "");
}

TEST_F(Publisher, AnAgentThatIsStartedAgainTakesNothingAway) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
  client_.ClearJournal();
  NodePublisher next(client_, "n1", clock_);
  next.Observe(Node());
  EXPECT_EQ(next.Reconcile().value(), 0) << "before it has seen the GPUs";
  next.SetInventory(TwoGpus());
  EXPECT_EQ(next.Reconcile().value(), 0);
  EXPECT_THAT(client_.journal(), IsEmpty());
  EXPECT_EQ(next.NotPublishedReason(), "");
}

TEST_F(Publisher, AnAgentThatDiedBetweenItsWritesIsFinishedByTheNext) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  client_.FailNext(1, "/status", {Errc::kUnavailable, "killed"});
  ASSERT_FALSE(publisher_.Reconcile().has_value());
  ASSERT_NE(Node().inventory, "");
  ASSERT_TRUE(Node().capacity.empty());
  NodePublisher next(client_, "n1", clock_);
  next.SetInventory(TwoGpus());
  next.Observe(Node());
  EXPECT_EQ(next.Reconcile().value(), 1);
  EXPECT_EQ(Node().capacity.at("tessera.dev/gpu"), "200");
}

TEST_F(Publisher, AWriteThatFailedIsNeverTakenForDone) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  client_.FailNext(1, "MERGE", {Errc::kUnavailable, "no"});
  ASSERT_FALSE(publisher_.Reconcile().has_value());
  publisher_.SetInventory(TwoGpus());  // nothing new, and yet it must be written
  clock_.Advance(NodePublisher::kLongestPause);
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
}

TEST_F(Publisher, ChangedHealthIsWritten) {
  publisher_.SetInventory(TwoGpus());
  Watch();
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
  Watch();
  auto sick = TwoGpus();
  sick.gpus[1].healthy = false;
  sick.gpus[1].health_reason = "Xid 79";
  publisher_.SetInventory(sick);
  EXPECT_EQ(publisher_.Reconcile().value(), 2);
  EXPECT_EQ(Node().capacity.at("tessera.dev/gpu"), "100");
  EXPECT_THAT(Node().inventory, HasSubstr("Xid 79"));
}

TEST_F(Publisher, AMissingNodeIsSaid) {
  publisher_.SetInventory(TwoGpus());
  publisher_.ObserveGone();
  EXPECT_EQ(publisher_.Reconcile().value(), 0);
  EXPECT_THAT(publisher_.NotPublishedReason(), HasSubstr("node n1 does not exist"));
}

}  // namespace
}  // namespace tessera::agent
