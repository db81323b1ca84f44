#include "extender/metrics.h"

#include <gmock/gmock.h>
#include <prometheus/text_serializer.h>

#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

using testing::HasSubstr;
using testing::Not;

class MetricsTest : public CacheTest {
 protected:
  std::string Scrape() {
    return prometheus::TextSerializer{}.Serialize(ClusterMetrics(cache_).Collect());
  }
};

TEST_F(MetricsTest, TellsTheAllocationOfEachGpuAndLeavesItsCapacityToTheAgent) {
  AddNode(cache_, "n", 2);
  cache_.AddPod("p", "n", Given("n", 1, 250, 40));
  cache_.Hold("q", {"n"}, Ask(600, 50));
  const std::string text = Scrape();
  EXPECT_THAT(text, testing::Not(HasSubstr("\ntessera_gpu_"))) << "the agent's names";
  EXPECT_THAT(
      text,
      HasSubstr(
          "tessera_extender_gpu_memory_allocated_bytes{node=\"n\",gpu_uuid=\"n-1\"} 262144000"));
  EXPECT_THAT(
      text, HasSubstr("tessera_extender_gpu_memory_allocated_bytes{node=\"n\",gpu_uuid=\"n-0\"} 0"))
      << "a hold is none";
  EXPECT_THAT(
      text,
      HasSubstr("tessera_extender_gpu_cores_allocated_ratio{node=\"n\",gpu_uuid=\"n-1\"} 0.4"));
}

TEST_F(MetricsTest, TellsFragmentationOfNodesAndCluster) {
  AddNode(cache_, "empty", 8);
  AddNode(cache_, "used", 8);
  const std::string before = Scrape();
  EXPECT_THAT(before, HasSubstr("tessera_cluster_fragmentation_ratio 0\n"));
  for (int i = 0; i < 8; ++i)
    cache_.AddPod("p" + std::to_string(i), "used", Given("used", i, 500, 50));
  const std::string after = Scrape();
  EXPECT_THAT(after, HasSubstr("tessera_node_fragmentation_ratio{node=\"empty\"} 0\n"));
  EXPECT_THAT(after, Not(HasSubstr("tessera_node_fragmentation_ratio{node=\"used\"} 0\n")));
  EXPECT_THAT(after, Not(HasSubstr("tessera_cluster_fragmentation_ratio 0\n")));
}

TEST_F(MetricsTest, TellsClosedAndOverCommittedNodes) {
  cache_.SetNode("closed", std::nullopt);
  AddNode(cache_, "over", 1);
  cache_.AddPod("p", "over", Given("over", 0, 800, 10));
  cache_.AddPod("q", "over", Given("over", 0, 800, 10));
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("tessera_node_closed{node=\"closed\"} 1"));
  EXPECT_THAT(text, HasSubstr("tessera_node_closed{node=\"over\"} 0"));
  EXPECT_THAT(text, HasSubstr("tessera_node_over_committed{node=\"over\"} 1"));
}

TEST_F(MetricsTest, AnEmptyClusterHasNoFragmentation) {
  EXPECT_THAT(Scrape(), HasSubstr("tessera_cluster_fragmentation_ratio 0\n"));
}

TEST(RejectionMetrics, CountNodesByReason) {
  prometheus::Registry registry;
  RejectionMetrics metrics(registry);
  Reasons reasons;
  reasons.Add("a", {.refusal = "closed", .resolvable = true});
  reasons.Add("b", {.shortages = {{.shortage = binpack::Shortage::kCores}}});
  metrics.Count(reasons);
  metrics.Count(reasons);
  const auto text = prometheus::TextSerializer{}.Serialize(registry.Collect());
  EXPECT_THAT(text, HasSubstr("tessera_extender_rejected_nodes_total{reason=\"cores\"} 2"));
  EXPECT_THAT(text, HasSubstr("tessera_extender_rejected_nodes_total{reason=\"closed\"} 2"));
  EXPECT_THAT(text, HasSubstr("tessera_extender_rejected_nodes_total{reason=\"memory\"} 0"));
}

}  // namespace
}  // namespace tessera::extender
