#include "cli/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/contract/assignment.h"
#include "common/contract/inventory.h"

namespace tessera::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Quoted(const std::string& text) {
  json::Writer writer;
  writer.String(text);
  return writer.Take();
}

std::string Node(const std::string& name, const std::string& inventory) {
  return R"({"metadata":{"name":")" + name + R"(","annotations":{"tessera.dev/inventory":)" +
         Quoted(inventory) + "}}}";
}

std::string TwoGpus() {
  return contract::EncodeInventory(
      {"1",
       {{.uuid = "GPU-a", .index = 0, .model = "A100", .memory_mib = 1000},
        {.uuid = "GPU-b", .index = 1, .model = "A100", .memory_mib = 1000, .healthy = false}}});
}

std::string Pod(const std::string& name, const std::string& uuid,
                const std::string& phase = "Running") {
  const auto assignment = contract::EncodeAssignment(
      {.node = "n", .placement = {{{binpack::ContainerKind::kApp, 0, {{uuid, 300, 20}}}}}});
  return R"({"metadata":{"namespace":"d","name":")" + name +
         R"(","annotations":{"tessera.dev/assignment":)" + Quoted(assignment) +
         R"(}},"spec":{"nodeName":"n"},"status":{"phase":")" + phase + "\"}}";
}

std::vector<NodeReport> Report(const std::string& nodes, const std::string& pods,
                               std::string_view only = "") {
  const auto node_list = json::Parse("[" + nodes + "]");
  const auto pod_list = json::Parse("[" + pods + "]");
  EXPECT_TRUE(node_list && pod_list);
  return Inspect(*node_list, *pod_list, only);
}

TEST(Inspect, ShowsWhatIsGivenOutAndToWhom) {
  const auto table =
      Table(Report(Node("n", TwoGpus()), Pod("p", "GPU-a") + "," + Pod("q", "GPU-a")));
  EXPECT_EQ(
      table,
      "NODE  GPU            MODEL  MEMORY MiB  CORES %  PODS\n"
      "n     0              A100   600/1000    40/100   d/p (300 MiB, 20 %), d/q (300 MiB, 20 %)\n"
      "n     1 (unhealthy)  A100   0/1000      0/100\n");
}

TEST(Inspect, WritesJson) {
  EXPECT_EQ(
      Json(Report(Node("n", TwoGpus()), Pod("p", "GPU-a"))),
      R"({"nodes":[{"name":"n","gpus":[{"uuid":"GPU-a","index":0,"model":"A100","healthy":true,)"
      R"("memoryMiB":{"used":300,"total":1000},"cores":{"used":20,"total":100},)"
      R"("pods":[{"pod":"d/p","memoryMiB":300,"cores":20}]},)"
      R"({"uuid":"GPU-b","index":1,"model":"A100","healthy":false,"memoryMiB":{"used":0,"total":1000},)"
      R"("cores":{"used":0,"total":100},"pods":[]}]}]})"
      "\n");
}

TEST(Inspect, EndedPodsHoldNothing) {
  EXPECT_THAT(Table(Report(Node("n", TwoGpus()),
                           Pod("p", "GPU-a", "Succeeded") + "," + Pod("q", "GPU-a", "Failed"))),
              Not(HasSubstr("300")));
}

TEST(Inspect, NodesAreOrderedFilteredAndShownOnlyWithAnInventory) {
  const std::string nodes =
      Node("z", TwoGpus()) + "," + Node("a", TwoGpus()) + R"(,{"metadata":{"name":"plain"}},7)";
  const auto all = Report(nodes, "");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(Report(nodes, "", "z").size(), 1u);
  EXPECT_EQ(Table(Report("", "")), "No node with GPUs.\n");
}

TEST(Inspect, NamesWhatCannotBeRead) {
  EXPECT_THAT(Table(Report(Node("n", "{"), "")), HasSubstr("! n: inventory: not JSON"));
  EXPECT_THAT(Table(Report(Node("n", TwoGpus()), Pod("p", "GPU-x"))),
              HasSubstr("! n: pod d/p holds GPU GPU-x, which the node does not have"));
  const std::string bad =
      R"({"metadata":{"namespace":"d","name":"p","annotations":{"tessera.dev/assignment":"{}"}},"spec":{"nodeName":"n"}})";
  EXPECT_THAT(Table(Report(Node("n", TwoGpus()), bad + ",7,{}")),
              HasSubstr("! n: pod d/p: assignment: version is missing"));
}

}  // namespace
}  // namespace tessera::cli
