// Deciding for one pod: who fits, with which score, on clusters of nodes with 8 GPUs that are about
// 70 % full.
#include <random>

#include <benchmark/benchmark.h>

#include "binpack/fit.h"
#include "binpack/place/score_model.h"

namespace {

using namespace tessera::binpack;

PodRequest OneSlice() { return {.containers = {{"c", ContainerKind::kApp, 0, {1, 8000, 0, 20}}}}; }

PodRequest InitAndTwoApps() {
  return {.containers = {{"i", ContainerKind::kInit, 0, {2, 2000, 0, 10}},
                         {"a", ContainerKind::kApp, 0, {1, 8000, 0, 20}},
                         {"b", ContainerKind::kApp, 1, {1, 0, 10, 20}}}};
}

std::vector<NodeInfo> Cluster(int nodes) {
  std::mt19937 random(7);
  std::vector<NodeInfo> cluster;
  for (int i = 0; i < nodes; ++i) {
    std::vector<GpuDevice> gpus;
    for (int g = 0; g < 8; ++g) {
      gpus.push_back({.uuid = "GPU-" + std::to_string(i) + "-" + std::to_string(g),
                      .index = g,
                      .model = "NVIDIA A100-SXM4-80GB",
                      .memory_mib = 81251});
    }
    NodeInfo node = MakeNode("node-" + std::to_string(i), gpus);
    for (const GpuDevice& gpu : gpus) {
      const std::int64_t share = random() % 10;
      Reserve(node, {{{gpu.uuid, {8000 * share, 10 * share}}}, Isolation::kShared});
      if (random() % 3 == 0)
        Reserve(node, {{{gpu.uuid, {81251 - 8000 * share, 100 - 10 * share}}}, Isolation::kShared});
    }
    cluster.push_back(std::move(node));
  }
  return cluster;
}

/// As the extender has it: of eight sizes, equally frequent.
ScoreModel Model(const std::vector<NodeInfo>& cluster) {
  std::vector<TypicalPod> pods;
  for (std::int16_t share = 125; share <= 1000; share = static_cast<std::int16_t>(share + 125))
    pods.push_back({{.gpus = 1, .share = {share, share}}, 1});
  std::vector<const NodeInfo*> nodes;
  for (const NodeInfo& node : cluster) nodes.push_back(&node);
  return {MakeDemand(pods), nodes, {cluster.front().devices.front().device.model}};
}

void Decide(benchmark::State& state, const PodRequest& pod) {
  const auto cluster = Cluster(static_cast<int>(state.range(0)));
  const ScoreModel model = Model(cluster);
  std::int64_t fitting = 0;
  for (auto _ : state) {
    std::int64_t best = -1;
    fitting = 0;
    for (const NodeInfo& node : cluster) {
      const auto placement = FindPlacement(node, pod, &model);
      if (!placement) continue;
      ++fitting;
      best = std::max(best, model.Score(node, ReservationOf(*placement, pod.isolation)));
    }
    benchmark::DoNotOptimize(best);
  }
  state.counters["fitting_nodes"] = static_cast<double>(fitting);
}

void BM_DecideOneSlice(benchmark::State& state) { Decide(state, OneSlice()); }
void BM_DecideInitAndTwoApps(benchmark::State& state) { Decide(state, InitAndTwoApps()); }
BENCHMARK(BM_DecideOneSlice)->Arg(1213)->Arg(5000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_DecideInitAndTwoApps)->Arg(1213)->Arg(5000)->Unit(benchmark::kMicrosecond);

void BM_ExplainWhereNothingFits(benchmark::State& state) {
  const auto cluster = Cluster(static_cast<int>(state.range(0)));
  PodRequest pod = OneSlice();
  pod.containers[0].gpu = {8, 0, 100, 100};
  for (auto _ : state) {
    for (const NodeInfo& node : cluster) benchmark::DoNotOptimize(Fit(node, pod));
  }
}
BENCHMARK(BM_ExplainWhereNothingFits)->Arg(5000)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
