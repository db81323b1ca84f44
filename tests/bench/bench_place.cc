// Deciding for one pod by the value of what is left, on clusters of nodes with 8 GPUs that are 94 %
// full: a mix of 150 shapes of pods comes, and for each the room, the score of every node and the
// GPUs are found.
#include <random>

#include <benchmark/benchmark.h>

#include "binpack/place/placer.h"
#include "binpack/simulate/replay.h"

namespace {

using namespace tessera::binpack;

std::vector<NodeRoom> EmptyNodes(int count) {
  std::mt19937 random(5);
  std::vector<NodeRoom> nodes;
  for (int i = 0; i < count; ++i) {
    NodeRoom node{.cpu_milli = 96000, .memory_mib = 786432, .gpus = 8};
    node.model = static_cast<std::int16_t>(random() % 4);
    node.cpu_milli += 32000 * static_cast<std::int32_t>(random() % 3);
    std::fill_n(node.rest.begin(), 8, kWholeGpu);
    nodes.push_back(node);
  }
  return nodes;
}

std::vector<PodShape> Mix() {
  std::mt19937 random(9);
  std::vector<PodShape> shapes;
  for (int i = 0; i < 150; ++i) {
    PodShape pod{.cpu_milli = static_cast<std::int32_t>(1000 * (2 + random() % 14)),
                 .memory_mib = 8192};
    if (i % 8 != 0) {
      const bool whole = random() % 10 < 5;
      const auto share = static_cast<std::int16_t>(whole ? 1000 : 100 + 50 * (random() % 16));
      pod.gpus = static_cast<std::int16_t>(whole && random() % 16 == 0 ? 1 << random() % 4 : 1);
      pod.share = {share, share};
      if (random() % 8 == 0) pod.models = ModelSet{1} << random() % 4;
    }
    shapes.push_back(pod);
  }
  return shapes;
}

/// A cluster that pods have filled until little is left, and those that run.
struct Filled {
  std::vector<PodShape> mix = Mix();
  std::vector<NodeRoom> nodes;
  std::unique_ptr<Policy> policy;
  std::unique_ptr<Placer> placer;
  std::vector<std::pair<PodShape, Decision>> running;
  std::mt19937 random{3};

  explicit Filled(int count) : nodes(EmptyNodes(count)) {
    policy = MakeFragmentPolicy(simulate::DemandOf(mix), FleetOf(nodes), {});
    placer = std::make_unique<Placer>(nodes, *policy, 1);
    double left = 0.94 * 8 * count;
    while (left > 0) {
      const PodShape& pod = mix[random() % mix.size()];
      const auto decision = placer->Decide(pod);
      left -= GpusOf(pod);
      if (!decision) continue;
      placer->Take(pod, *decision);
      running.emplace_back(pod, *decision);
    }
    for (const PodShape& pod : mix) placer->Decide(pod);  // warm
  }
};

/// A decision after nothing has changed.
void DecideWarm(benchmark::State& state) {
  Filled cluster(static_cast<int>(state.range(0)));
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cluster.placer->Decide(cluster.mix[i++ % cluster.mix.size()]));
  }
  state.counters["bytes/node"] =
      static_cast<double>(cluster.placer->bytes()) / static_cast<double>(state.range(0));
}
BENCHMARK(DecideWarm)->Arg(1213)->Arg(5000)->Arg(15000)->Arg(50000)->Unit(benchmark::kMicrosecond);

/// A pod leaves, which changes one node; then the same kind of pod is decided on again.
void DecideAfterOneChange(benchmark::State& state) {
  Filled cluster(static_cast<int>(state.range(0)));
  const PodShape pod = cluster.mix[1];
  for (auto _ : state) {
    state.PauseTiming();
    const std::size_t i = cluster.random() % cluster.running.size();
    cluster.placer->Give(cluster.running[i].first, cluster.running[i].second);
    state.ResumeTiming();
    benchmark::DoNotOptimize(cluster.placer->Decide(pod));
    state.PauseTiming();
    cluster.placer->Take(cluster.running[i].first, cluster.running[i].second);
    state.ResumeTiming();
  }
}
BENCHMARK(DecideAfterOneChange)
    ->Arg(1213)
    ->Arg(5000)
    ->Arg(15000)
    ->Arg(50000)
    ->Unit(benchmark::kMicrosecond);

/// What a busy cluster does: a pod leaves, another of the mix is decided on and placed.
void ChangeDecideAndPlace(benchmark::State& state) {
  Filled cluster(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    const std::size_t i = cluster.random() % cluster.running.size();
    std::swap(cluster.running[i], cluster.running.back());
    cluster.placer->Give(cluster.running.back().first, cluster.running.back().second);
    cluster.running.pop_back();
    const PodShape& pod = cluster.mix[cluster.random() % cluster.mix.size()];
    const auto decision = cluster.placer->Decide(pod);
    if (!decision) continue;
    cluster.placer->Take(pod, *decision);
    cluster.running.emplace_back(pod, *decision);
  }
}
BENCHMARK(ChangeDecideAndPlace)
    ->Arg(1213)
    ->Arg(5000)
    ->Arg(15000)
    ->Arg(50000)
    ->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
