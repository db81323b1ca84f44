// Deciding for one pod: who fits, with which score, on clusters of nodes with 8 GPUs that are about
// 70 % full.
#include <random>

#include <benchmark/benchmark.h>

#include "binpack/fit.h"
#include "binpack/score.h"

namespace {

using namespace tessera::binpack;

struct Measured {
  NodeInfo node;
  Fragmentation fragmentation;
};

PodRequest OneSlice() { return {.containers = {{"c", ContainerKind::kApp, 0, {1, 8000, 0, 20}}}}; }

PodRequest InitAndTwoApps() {
  return {.containers = {{"i", ContainerKind::kInit, 0, {2, 2000, 0, 10}},
                         {"a", ContainerKind::kApp, 0, {1, 8000, 0, 20}},
                         {"b", ContainerKind::kApp, 1, {1, 0, 10, 20}}}};
}

std::vector<Measured> Cluster(int nodes) {
  std::mt19937 random(7);
  std::vector<Measured> cluster;
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
      Reserve(node, {{{gpu.uuid, {8000 * share, 10 * share}}}, false});
      if (random() % 3 == 0)
        Reserve(node, {{{gpu.uuid, {81251 - 8000 * share, 100 - 10 * share}}}, false});
    }
    const auto fragmentation = Measure(RestsOf(node), DefaultWorkload());
    cluster.push_back({std::move(node), fragmentation});
  }
  return cluster;
}

void Decide(benchmark::State& state, const PodRequest& pod) {
  const auto cluster = Cluster(static_cast<int>(state.range(0)));
  std::int64_t fitting = 0;
  for (auto _ : state) {
    std::int64_t best = -1;
    fitting = 0;
    for (const Measured& measured : cluster) {
      const auto placement = FindPlacement(measured.node, pod);
      if (!placement) continue;
      ++fitting;
      best = std::max(best, PackScore(measured.node, ReservationOf(*placement, pod.isolation),
                                      DefaultWorkload(), measured.fragmentation));
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
    for (const Measured& measured : cluster) benchmark::DoNotOptimize(Fit(measured.node, pod));
  }
}
BENCHMARK(BM_ExplainWhereNothingFits)->Arg(5000)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
