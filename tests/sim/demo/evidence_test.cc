#include "sim/demo/evidence.h"

#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "sim/demo/cluster_plan.h"

namespace tessera::sim {
namespace {

using binpack::ContainerKind;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

ProbedGpu GoodGpu(const std::string& uuid, std::uint64_t mib) {
  ProbedGpu gpu;
  gpu.uuid = uuid;
  gpu.total_bytes = gpu.free_before_bytes = gpu.held_bytes = mib * kMib;
  gpu.refused_with = "CUDA_ERROR_OUT_OF_MEMORY";
  gpu.exact = gpu.reallocated = true;
  return gpu;
}

ContainerEvidence Good() {
  ContainerEvidence container;
  container.pod = "default/p";
  container.container = "main";
  container.node = "n1";
  container.shares = {{"GPU-a", 3000, 50}};
  container.report = ProbeReport{true, {}, {GoodGpu("GPU-a", 3000)}};
  return container;
}

std::map<std::string, contract::Inventory> OneGpu() {
  binpack::GpuDevice gpu;
  gpu.uuid = "GPU-a";
  gpu.model = "NVIDIA A10";
  gpu.memory_mib = 10000;
  return {{"n1", {"580", {gpu}}}};
}

TEST(LimitProblem, FindsEveryDeviation) {
  struct Case {
    const char* name;
    std::function<void(ContainerEvidence&)> spoil;
    const char* want;  ///< empty: no problem
  };
  for (const Case& c : std::vector<Case>{
           {"all well", [](ContainerEvidence&) {}, ""},
           {"a context was charged before",
            [](ContainerEvidence& e) {
              e.report->gpus[0].free_before_bytes -= 100 * kMib;
              e.report->gpus[0].held_bytes -= 100 * kMib;
            },
            ""},
           {"silent", [](ContainerEvidence& e) { e.report.reset(); }, "said nothing"},
           {"the probe complains", [](ContainerEvidence& e) { e.report->problems = {"cuInit: x"}; },
            "cuInit: x"},
           {"not ok", [](ContainerEvidence& e) { e.report->ok = false; }, "not content"},
           {"one GPU too many",
            [](ContainerEvidence& e) { e.report->gpus.push_back(GoodGpu("GPU-b", 1)); }, "sees 2"},
           {"another GPU", [](ContainerEvidence& e) { e.report->gpus[0].uuid = "GPU-b"; },
            "does not see GPU-a"},
           {"the whole GPU's memory is told",
            [](ContainerEvidence& e) { e.report->gpus[0].total_bytes *= 2; }, "6000 MiB"},
           {"another error",
            [](ContainerEvidence& e) { e.report->gpus[0].refused_with = "CUDA_SUCCESS"; },
            "CUDA_SUCCESS"},
           {"more than the limit",
            [](ContainerEvidence& e) { e.report->gpus[0].held_bytes += kMib; }, "above the limit"},
           {"refused too early",
            [](ContainerEvidence& e) {
              e.report->gpus[0].exact = false;
              e.report->gpus[0].free_after_bytes = 5 * kMib;
            },
            "5 MiB left"},
           {"free does not give back",
            [](ContainerEvidence& e) { e.report->gpus[0].reallocated = false; }, "again"},
       }) {
    SCOPED_TRACE(c.name);
    ContainerEvidence container = Good();
    c.spoil(container);
    if (*c.want == '\0') {
      EXPECT_EQ(LimitProblem(container), "");
    } else {
      EXPECT_THAT(LimitProblem(container), HasSubstr(c.want));
    }
  }
}

TEST(CapacityProblem, SumsWhatPodsTakeOfEachGpu) {
  const auto container = [](const char* pod, ContainerKind kind, std::int64_t mib,
                            std::int64_t cores = 10) {
    ContainerEvidence e = Good();
    e.pod = pod;
    e.kind = kind;
    e.shares = {{"GPU-a", mib, cores}};
    return e;
  };
  using K = ContainerKind;
  struct Case {
    const char* name;
    std::vector<ContainerEvidence> containers;
    bool fits;
  };
  for (const Case& c : std::vector<Case>{
           {"nothing", {}, true},
           {"exactly full",
            {container("d/a", K::kApp, 6000, 50), container("d/b", K::kApp, 4000, 50)},
            true},
           {"one MiB too much",
            {container("d/a", K::kApp, 6000), container("d/b", K::kApp, 4001)},
            false},
           {"one percent too much",
            {container("d/a", K::kApp, 1, 50), container("d/b", K::kApp, 1, 51)},
            false},
           {"an init container runs before the others",
            {container("d/a", K::kInit, 9000), container("d/a", K::kApp, 9000)},
            true},
           {"but beside other pods",
            {container("d/a", K::kInit, 9000), container("d/b", K::kApp, 2000)},
            false},
           {"a sidecar runs beside",
            {container("d/a", K::kSidecar, 2000), container("d/a", K::kApp, 9000)},
            false},
           {"an init container runs beside the sidecar before it",
            {container("d/a", K::kSidecar, 2000), container("d/a", K::kInit, 9000)},
            false},
       }) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(CapacityProblem(c.containers, OneGpu()).empty(), c.fits);
  }
}

TEST(CapacityProblem, AGpuThatTheNodeDoesNotHaveIsNamed) {
  ContainerEvidence stray = Good();
  stray.shares[0].uuid = "GPU-z";
  EXPECT_THAT(CapacityProblem({stray}, OneGpu()), HasSubstr("GPU-z"));
  stray = Good();
  stray.node = "n2";
  EXPECT_THAT(CapacityProblem({stray}, OneGpu()), HasSubstr("n2"));
}

TEST(MetricsProblem, ComparesTheAgentsPageWithTheProbe) {
  const std::map<std::string, std::string> labels = {
      {"namespace", "default"}, {"pod", "p"}, {"container", "main"}, {"gpu_uuid", "GPU-a"}};
  std::vector<Sample> page = {{"tessera_container_gpu_memory_limit_bytes", labels, 3000.0 * kMib},
                              {"tessera_container_gpu_memory_used_bytes", labels, 3000.0 * kMib}};
  EXPECT_EQ(MetricsProblem(Good(), page), "");
  page[1].value -= kMib;
  EXPECT_THAT(MetricsProblem(Good(), page), HasSubstr("used_bytes is 2999 MiB"));
  page.pop_back();
  EXPECT_THAT(MetricsProblem(Good(), page), HasSubstr("used_bytes is missing"));
  EXPECT_THAT(MetricsProblem(Good(), {}), HasSubstr("missing"));
}

TEST(AskedText, SaysWhatTheUserWrote) {
  EXPECT_EQ(AskedText({1, 3000, 0, 50}), "3000 MiB, 50 %");
  EXPECT_EQ(AskedText({2, 20480, 0, 0}), "2 x 20480 MiB");
  EXPECT_EQ(AskedText({1, 0, 25, 10}), "25 % memory, 10 %");
}

constexpr const char* kBound =
    R"({"metadata":{"name":"p","namespace":"d","annotations":{"tessera.dev/assignment":
  "{\"version\":1,\"node\":\"n1\",\"computePolicy\":\"fixed-share\",\"isolation\":\"shared\",\"containers\":[{\"slot\":\"c0\",\"kind\":\"app\",\"gpus\":[{\"uuid\":\"GPU-a\",\"memoryMiB\":3000,\"cores\":50}]}]}"}},
  "spec":{"nodeName":"NODE","containers":[{"name":"main"}]}})";

std::string BoundTo(const std::string& node) {
  std::string text = kBound;
  return text.replace(text.find("NODE"), 4, node);
}

TEST(PodEvidence, JoinsAssignmentAndRequest) {
  const auto asked =
      json::Parse(R"({"metadata":{"name":"p","annotations":{"tessera.dev/gpu-memory":"3000Mi",
      "tessera.dev/gpu-cores":"50"}},"spec":{"containers":[{"name":"main"}]}})")
          .value();
  const auto evidence = PodEvidence(json::Parse(BoundTo("n1")).value(), asked);
  ASSERT_TRUE(evidence) << evidence.error().message;
  ASSERT_EQ(evidence->size(), 1u);
  EXPECT_EQ(evidence->front().name(), "d/p/main");
  EXPECT_EQ(evidence->front().asked, "3000 MiB, 50 %");
  EXPECT_EQ(evidence->front().shares.front(), (binpack::DeviceShare{"GPU-a", 3000, 50}));
  EXPECT_FALSE(PodEvidence(json::Parse(BoundTo("n2")).value(), asked))
      << "assignment for another node";
  EXPECT_FALSE(PodEvidence(asked, asked)) << "no assignment";
}

TEST(EvidenceTable, HasARowForEachGpu) {
  const auto rows = EvidenceTable({Good()}, OneGpu());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(rows[1], testing::IsSupersetOf({"p/main", "n1", "#0 NVIDIA A10", "3000 MiB", "yes"}));
  ContainerEvidence silent = Good();
  silent.report.reset();
  EXPECT_THAT(EvidenceTable({silent}, OneGpu())[1], testing::Contains("NO"));
}

TEST(DemoNodes, GpusHaveUniqueUuids) {
  std::set<std::string> seen;
  const auto nodes = DemoNodes();
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    for (int g = 0; g < nodes[n].gpus; ++g) EXPECT_TRUE(seen.insert(GpuUuid(n, g)).second);
    EXPECT_THAT(GpusFile(nodes[n], n), HasSubstr(GpuUuid(n, 0)));
  }
  EXPECT_EQ(GpuUuid(0, 0).size(), 40u);
}

}  // namespace
}  // namespace tessera::sim
