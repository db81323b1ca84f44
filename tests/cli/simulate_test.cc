#include "cli/simulate.h"

#include <sstream>

#include <gtest/gtest.h>

#include "cli/simulate_cluster.h"
#include "cli/simulate_mig.h"
#include "common/json/json.h"
#include "tests/binpack/simulate/files.h"

namespace tessera::cli {
namespace {

binpack::simulate::Trace SmallTrace() {
  binpack::simulate::Trace trace;
  const std::string folder = std::string(TESSERA_SOURCE_DIR) + "/binpack/simulate/data/";
  EXPECT_TRUE(ParseNodes(*ReadFile(folder + "nodes.csv"), trace));
  EXPECT_TRUE(ParsePods(*ReadFile(folder + "pods.csv"), trace));
  return trace;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<SimulatedRun> TwoPolicies(double load = 1.3) {
  return Simulate(SmallTrace(),
                  {.policies = {"best-fit", "fragment"}, .load = load, .seed = 3, .seeds = 2},
                  [] { return std::int64_t{0}; });
}

TEST(Simulate, JsonIsOneLineForEachRun) {
  const auto lines = Lines(SimulationJson(TwoPolicies()));
  ASSERT_EQ(lines.size(), 4U);
  const auto document = json::Parse(lines[3]);
  ASSERT_TRUE(document);
  EXPECT_EQ(*json::GetString(*document, "policy"), "fragment");
  EXPECT_EQ(*json::GetInt(*document, "seed"), 4);
  const auto& alloc = **json::GetObject(*document, "alloc");
  for (const char* load : {"1.0", "1.1", "1.2", "1.3"}) {
    const auto* value = json::Find(alloc, load);
    ASSERT_NE(value, nullptr) << load;
    EXPECT_GT(value->GetDouble(), 0.5);
    EXPECT_LE(value->GetDouble(), 1.0);
  }
  EXPECT_TRUE(json::GetInt(*document, "failed"));
  EXPECT_NE(json::Find(*document, "frag"), nullptr);
  EXPECT_NE(json::FindPath(*document, {"decision_us", "mean"}), nullptr);
  EXPECT_NE(json::FindPath(*document, {"decision_us", "p99"}), nullptr);
}

TEST(Simulate, ALowLoadIsReportedAtItsEnd) {
  const auto lines = Lines(SimulationJson(TwoPolicies(0.5)));
  const auto document = json::Parse(lines[0]);
  const auto* value = json::FindPath(*document, {"alloc", "0.5"});
  ASSERT_NE(value, nullptr) << lines[0];
  EXPECT_NEAR(value->GetDouble(), 0.5, 0.03);
}

TEST(Simulate, TableHasALineForEachPolicy) {
  const auto lines = Lines(SimulationTable(TwoPolicies()));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].starts_with("POLICY"));
  EXPECT_TRUE(lines[1].starts_with("best-fit"));
  EXPECT_TRUE(lines[2].starts_with("fragment"));
  EXPECT_EQ(lines[0].size(), lines[1].size());
  EXPECT_EQ(lines[1].size(), lines[2].size());
}

TEST(Simulate, PlotDrawsACurveForEachPolicy) {
  const std::string svg = SimulationPlot(TwoPolicies());
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  std::size_t curves = 0;
  for (std::size_t at = svg.find("<polyline"); at != std::string::npos;
       at = svg.find("<polyline", at + 1)) {
    ++curves;
  }
  EXPECT_EQ(curves, 2U);
  EXPECT_NE(svg.find(">fragment "), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(SimulationPlot(TwoPolicies(0.3)).find("nan"), std::string::npos);
}

TEST(Simulate, LearningIsWorthMoreThanKnowingNothing) {
  const auto mean = [](const std::vector<SimulatedRun>& runs) {
    double sum = 0;
    for (const auto& run : runs) sum += run.result.marks.back().cores;
    return sum / static_cast<double>(runs.size());
  };
  SimulateOptions options{.policies = {"fragment"}, .seeds = 3};
  const double known = mean(Simulate(SmallTrace(), options, {}));
  options.learned = true;
  const double learned = mean(Simulate(SmallTrace(), options, {}));
  EXPECT_GT(learned, known - 0.03);
  EXPECT_NE(learned, known);
}

TEST(Simulate, RefreshesSoonAtFirstAndThenNowAndThen) {
  EXPECT_FALSE(RefreshAfter(0));
  EXPECT_TRUE(RefreshAfter(32));
  EXPECT_FALSE(RefreshAfter(33));
  EXPECT_TRUE(RefreshAfter(400));
  EXPECT_FALSE(RefreshAfter(512));
  EXPECT_TRUE(RefreshAfter(800));
}

TEST(Simulate, ChurnIsReportedAsTableAndJson) {
  const auto runs = SimulateChurn(SmallTrace(), {.policies = {"fgd"}, .churn = 0.5});
  EXPECT_EQ(Lines(ChurnTable(runs)).size(), 2U);
  const auto document = json::Parse(Lines(ChurnJson(runs))[0]);
  EXPECT_NEAR(json::Find(*document, "allocated")->GetDouble(), 0.5, 0.08);
}

TEST(SetWeight, ErrorsNameTheTerm) {
  binpack::ValueWeights weights;
  EXPECT_TRUE(SetWeight("stranded=0.5", weights));
  EXPECT_EQ(weights.stranded, 0.5);
  for (const char* text :
       {"", "x=1", "stranded", "stranded=", "stranded=x", "stranded=-1", "stranded=1e9"}) {
    EXPECT_FALSE(SetWeight(text, weights)) << text;
  }
  EXPECT_EQ(weights.stranded, 0.5);
}

TEST(SimulateMig, ReportsEveryPolicyAndProfile) {
  const auto runs = SimulateMig("A30-24GB", {.arrivals = 500}, 2);
  ASSERT_EQ(runs.size(), 6U);
  EXPECT_EQ(Lines(MigTable(runs)).size(), 4U);
  const auto document = json::Parse(Lines(MigJson(runs))[0]);
  EXPECT_GT(json::FindPath(*document, {"profiles", "2g.12gb"})->GetDouble(), 0.1);
}

constexpr const char* kClusterNodes = R"([
  {"metadata":{"name":"a","annotations":{"tessera.dev/inventory":
    "{\"version\":1,\"driver\":\"1\",\"gpus\":[{\"uuid\":\"GPU-a\",\"index\":0,\"model\":\"NVIDIA A10\",\"memoryMiB\":20000,\"cores\":100,\"numa\":0,\"healthy\":true},{\"uuid\":\"GPU-b\",\"index\":1,\"model\":\"NVIDIA A10\",\"memoryMiB\":20000,\"cores\":100,\"numa\":0,\"healthy\":false,\"reason\":\"xid 79\"}]}"}},
   "status":{"allocatable":{"cpu":"7500m","memory":"32Gi"}}},
  {"metadata":{"name":"b","annotations":{"tessera.dev/inventory":"nonsense"}},"status":{"allocatable":{"cpu":"8","memory":"1Gi"}}},
  {"metadata":{"name":"c"},"status":{"allocatable":{"cpu":"8","memory":"1Gi"}}}])";

constexpr const char* kClusterPods = R"([
  {"metadata":{"name":"p"},"spec":{"nodeName":"a","containers":[{"name":"m","resources":{
     "requests":{"cpu":"0.5","memory":"1Gi"},"limits":{"tessera.dev/gpu":"1","tessera.dev/gpu-memory":"5000","tessera.dev/gpu-cores":"30"}}}]},"status":{"phase":"Running"}},
  {"metadata":{"name":"cpu"},"spec":{"nodeName":"a","containers":[{"name":"m","resources":{"requests":{"cpu":"2"}}},{"name":"n"}]},"status":{"phase":"Running"}},
  {"metadata":{"name":"done"},"spec":{"nodeName":"a","containers":[{"name":"m"}]},"status":{"phase":"Succeeded"}},
  {"metadata":{"name":"elsewhere"},"spec":{"nodeName":"c","containers":[{"name":"m"}]},"status":{"phase":"Running"}},
  {"metadata":{"name":"odd"},"spec":{"nodeName":"a","containers":[{"name":"m","resources":{"requests":{"cpu":"three"}}}]},"status":{"phase":"Running"}}])";

TEST(TraceOfCluster, TakesReadableNodesAndTheirRunningPods) {
  const auto nodes = json::Parse(kClusterNodes);
  const auto pods = json::Parse(kClusterPods);
  const auto cluster = TraceOfCluster(*nodes, *pods);
  ASSERT_TRUE(cluster) << cluster.error().message;
  EXPECT_EQ(cluster->skipped, 2) << "node b and the odd pod";
  ASSERT_EQ(cluster->trace.nodes.size(), 1U);
  EXPECT_EQ(cluster->trace.nodes[0].cpu_milli, 7500);
  EXPECT_EQ(cluster->trace.nodes[0].memory_mib, 32768);
  EXPECT_EQ(cluster->trace.nodes[0].gpus, 1) << "healthy ones";
  EXPECT_EQ(cluster->trace.nodes[0].model, 0);
  ASSERT_EQ(cluster->trace.pods.size(), 2U);
  EXPECT_EQ(cluster->trace.pods[0], (binpack::PodShape{500, 1024, 1, {250, 300}, 1}));
  EXPECT_EQ(cluster->trace.pods[1].cpu_milli, 2000);
  EXPECT_EQ(cluster->trace.pods[1].gpus, 0);
}

TEST(TraceOfCluster, SaysWhatIsMissing) {
  const auto empty = json::Parse("[]");
  const auto nodes = json::Parse(kClusterNodes);
  EXPECT_EQ(TraceOfCluster(*empty, *empty).error().code, Errc::kNotFound);
  EXPECT_EQ(TraceOfCluster(*nodes, *empty).error().message, "no running pod asks for a GPU");
}

}  // namespace
}  // namespace tessera::cli
