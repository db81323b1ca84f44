// Whom the arbiter is told of, and what it tells of them.
#include "agent/arbitration.h"

#include <gmock/gmock.h>

#include "agent/metrics.h"
#include "agent/wire.h"
#include "common/contract/names.h"
#include "common/json/json.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A pod with one container, as the API server has it.
Pod Decoded(const contract::Assignment& assignment, const std::string& limits,
            const char* state = "running") {
  json::Writer writer;
  writer.String(contract::EncodeAssignment(assignment));
  const std::string text =
      R"({"metadata":{"uid":"u1","namespace":"ns","name":"p","annotations":{
      "tessera.dev/assignment":)" +
      writer.Take() + R"(,"tessera.dev/c0-limits":")" + limits +
      R"("}},"spec":{"containers":[{"name":"main"}]},"status":{"containerStatuses":
      [{"name":"main","state":{")" +
      state + R"(":{}}}]}})";
  const auto document = json::Parse(text);
  EXPECT_TRUE(document) << text;
  auto pod = DecodePod(*document);
  EXPECT_TRUE(pod) << pod.error().message;
  return *std::move(pod);
}

contract::Assignment OnTwoGpus() {
  contract::Assignment assignment;
  assignment.node = "n1";
  assignment.compute_policy = binpack::ComputePolicy::kBurstShare;
  assignment.placement.containers.push_back(
      {binpack::ContainerKind::kApp, 0, {{"GPU-a", 3000, 50}, {"GPU-b", 3000, 20}}});
  return assignment;
}

TEST(Arbitration, EachGpuOfAContainerIsTold) {
  const auto told = ContainersToArbitrate({Decoded(OnTwoGpus(), "")}, "/pods");
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].gpu_uuid, "GPU-a");
  EXPECT_EQ(told[0].percent, 50);
  EXPECT_EQ(told[0].policy, region::Policy::kBurstShare);
  EXPECT_EQ(told[0].region_path,
            "/pods/u1/volumes/kubernetes.io~empty-dir/tessera-region-c0/region");
  EXPECT_EQ(told[1].gpu_uuid, "GPU-b");
  EXPECT_EQ(told[1].percent, 20);
}

TEST(Arbitration, LimitsThatAnAdministratorChangedCount) {
  const auto told = ContainersToArbitrate(
      {Decoded(OnTwoGpus(), "v1 fixed-share GPU-a:3000:10 GPU-b:3000:30")}, "/pods");
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].percent, 10);
  EXPECT_EQ(told[1].percent, 30);
  EXPECT_EQ(told[0].policy, region::Policy::kFixedShare);
}

TEST(Arbitration, LimitsThatAreMalformedOrOfOtherGpusDoNot) {
  for (const char* limits : {"v1 fixed-share GPU-a:3000:10", "v1 fixed-share GPU-b:1:9 GPU-a:1:9",
                             "v1 fixed-share GPU-a:3000:10 GPU-c:3000:30", "v2", "scribble",
                             "v1 fixed-share GPU-a:3000:101 GPU-b:3000:30"}) {
    const auto told = ContainersToArbitrate({Decoded(OnTwoGpus(), limits)}, "/pods");
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0].percent, 50) << limits;
    EXPECT_EQ(told[0].policy, region::Policy::kBurstShare) << limits;
  }
}

TEST(Arbitration, WhoHasTheGpuAloneOrUsesMpsOrHasEndedIsLeftOut) {
  auto assignment = OnTwoGpus();
  EXPECT_TRUE(ContainersToArbitrate({Decoded(assignment, "", "terminated")}, "/pods").empty());
  EXPECT_EQ(ContainersToArbitrate({Decoded(assignment, "", "waiting")}, "/pods").size(), 2U);
  assignment.isolation = binpack::Isolation::kExclusive;
  EXPECT_TRUE(ContainersToArbitrate({Decoded(assignment, "")}, "/pods").empty());
  assignment.isolation = binpack::Isolation::kMps;
  EXPECT_TRUE(ContainersToArbitrate({Decoded(assignment, "")}, "/pods").empty());
  Pod nameless = Decoded(OnTwoGpus(), "");
  nameless.uid = "../..";
  EXPECT_TRUE(ContainersToArbitrate({nameless}, "/pods").empty());
  nameless.assignment.reset();
  EXPECT_TRUE(ContainersToArbitrate({nameless}, "/pods").empty());
}

TEST(Arbitration, WithoutCoresItIsBestEffortAsItsLimitsSay) {
  auto assignment = OnTwoGpus();
  for (auto& share : assignment.placement.containers[0].devices) share.cores_percent = 0;
  const auto told = ContainersToArbitrate({Decoded(assignment, "")}, "/pods");
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].policy, region::Policy::kBestEffort);
  const auto limits = contract::DecodeLimits(contract::EncodeLimits(
      assignment.compute_policy, assignment.isolation, assignment.placement.containers[0]));
  EXPECT_EQ(limits->policy, binpack::ComputePolicy::kBestEffort);
}

TEST(Arbitration, MetricsTellOfWindowsByGpuAndContainer) {
  NodeState state;
  state.node = "n1";
  ContainerUsage usage;
  usage.space = "ns";
  usage.pod = "p";
  usage.container = "main";
  usage.region_path = "/r";
  usage.devices.emplace_back().uuid = "GPU-a";
  state.containers = {usage};
  EXPECT_THAT(RenderFamilies(state), Not(HasSubstr("tessera_gpu_arbitrated")));
  state.arbitration.gpus.push_back(
      {.uuid = "GPU-a",
       .windows = true,
       .windows_total = 7,
       .overruns_total = 2,
       .containers = {{.region_path = "/r",
                       .totals = {.charged_ns = 1'500'000'000, .waited_ns = 500'000'000}}}});
  const std::string text = RenderFamilies(state);
  const std::string gpu = R"({node="n1",gpu_uuid="GPU-a"} )";
  const std::string container =
      R"({node="n1",gpu_uuid="GPU-a",namespace="ns",pod="p",container="main"} )";
  EXPECT_THAT(text, HasSubstr("tessera_gpu_arbitrated" + gpu + "1\n"));
  EXPECT_THAT(text, HasSubstr("tessera_gpu_windows_total" + gpu + "7\n"));
  EXPECT_THAT(text, HasSubstr("tessera_gpu_window_overruns_total" + gpu + "2\n"));
  EXPECT_THAT(text,
              HasSubstr("tessera_container_gpu_arbitrated_seconds_total" + container + "1.5\n"));
  EXPECT_THAT(text,
              HasSubstr("tessera_container_gpu_window_wait_seconds_total" + container + "0.5\n"));
}

TEST(Arbitration, BusyIsTheUtilisationWhereItIsKnown) {
  NodeState state;
  state.node = "n1";
  EXPECT_THAT(RenderFamilies(state), Not(HasSubstr("tessera_gpu_busy_ratio")));
  state.busy = {{"GPU-a", 0.25}};
  EXPECT_THAT(RenderFamilies(state),
              HasSubstr(R"(tessera_gpu_busy_ratio{node="n1",gpu_uuid="GPU-a"} 0.25)"));
}

TEST(Arbitration, GpusAreSampledThatAreShared) {
  const struct {
    const char* name;
    std::vector<std::pair<const char*, int>> containers;  // GPU, percent
    std::vector<std::pair<const char*, bool>> gpus;       // healthy
    std::set<std::string> want;
  } cases[] = {
      {"nobody", {}, {{"a", true}}, {}},
      {"alone with all of it", {{"a", 100}}, {{"a", true}}, {}},
      {"alone and best-effort", {{"a", 0}}, {{"a", true}}, {}},
      {"alone with a share", {{"a", 99}}, {{"a", true}}, {"a"}},
      {"the least share", {{"a", 1}, {"b", 100}}, {{"a", true}, {"b", true}}, {"a"}},
      {"two best-effort", {{"a", 0}, {"a", 0}}, {{"a", true}, {"b", true}}, {"a"}},
      {"both", {{"a", 0}, {"b", 50}, {"a", 0}}, {{"a", true}, {"b", true}}, {"a", "b"}},
      {"one that NVML does not list", {{"a", 50}, {"c", 50}}, {{"a", true}}, {"a"}},
      {"another is sick", {{"a", 50}}, {{"a", true}, {"b", false}}, {}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    contract::Inventory inventory;
    for (const auto& [uuid, healthy] : c.gpus) {
      binpack::GpuDevice& gpu = inventory.gpus.emplace_back();
      gpu.uuid = uuid;
      gpu.healthy = healthy;
    }
    std::vector<ArbitratedContainer> containers;
    for (const auto& [uuid, percent] : c.containers) {
      containers.push_back({.gpu_uuid = uuid, .region_path = "/r", .percent = percent});
    }
    EXPECT_EQ(GpusToSample(inventory, containers), c.want);
  }
}

}  // namespace
}  // namespace tessera::agent
