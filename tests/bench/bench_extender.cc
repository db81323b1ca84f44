// A filter call as it comes from kube-scheduler: ExtenderArgs with all names in,
// ExtenderFilterResult out.
#include <string>

#include <benchmark/benchmark.h>

#include "common/base/clock.h"
#include "common/json/json.h"
#include "extender/filter.h"
#include "extender/prioritize.h"

namespace {

using namespace tessera;

constexpr int kGpusPerNode = 8;

contract::Inventory Gpus(const std::string& node) {
  contract::Inventory inventory;
  for (int i = 0; i < kGpusPerNode; ++i) {
    inventory.gpus.push_back({.uuid = node + "-" + std::to_string(i),
                              .index = i,
                              .model = "NVIDIA A100-SXM4-80GB",
                              .memory_mib = 81251});
  }
  return inventory;
}

std::string Name(int i) { return "gpu-node-" + std::to_string(i); }

/// Nodes of which two GPUs in three have a tenant.
void Fill(extender::Cache& cache, int nodes) {
  for (int i = 0; i < nodes; ++i) {
    cache.SetNode(Name(i), Result<contract::Inventory>(Gpus(Name(i))));
    for (int g = 0; g < kGpusPerNode; ++g) {
      if ((i + g) % 3 == 0) continue;
      const std::string uuid = Name(i) + "-" + std::to_string(g);
      const std::int64_t tenth = 1 + (i * 7 + g) % 9;
      cache.AddPod(
          uuid, Name(i),
          contract::Assignment{
              .node = Name(i),
              .placement = {
                  {{binpack::ContainerKind::kApp, 0, {{uuid, 8000 * tenth, 10 * tenth}}}}}});
    }
  }
}

std::string ArgsText(int nodes, const std::string& memory_mib) {
  json::Writer names;
  names.StartArray();
  for (int i = 0; i < nodes; ++i) names.String(Name(i));
  names.EndArray();
  return R"({"Pod":{"metadata":{"name":"p","namespace":"d","uid":"u","labels":{"tessera.dev/managed":"true"}},"spec":)"
         R"({"containers":[{"name":"c","resources":{"limits":{"tessera.dev/gpu-memory":")" +
         memory_mib + R"(","tessera.dev/gpu-cores":"20"}}}]}},"Nodes":null,"NodeNames":)" +
         names.Take() + "}";
}

void Filter(benchmark::State& state, const std::string& memory_mib) {
  const int nodes = static_cast<int>(state.range(0));
  const SystemClock clock;
  extender::Cache cache(clock, {});
  Fill(cache, nodes);
  const extender::Filter filter(cache, {}, [] { return true; }, {});
  const std::string body = ArgsText(nodes, memory_mib);
  std::size_t answered = 0;
  for (auto _ : state) {
    const auto args = extender::ParseExtenderArgs(body);
    const auto result = filter.Handle(*args);
    answered = extender::FilterResultJson(*result).size();
    benchmark::DoNotOptimize(answered);
  }
  state.counters["answer_bytes"] = static_cast<double>(answered);
}

void BM_FilterThatFits(benchmark::State& state) { Filter(state, "16000"); }
void BM_FilterThatFitsNowhere(benchmark::State& state) { Filter(state, "90000"); }
BENCHMARK(BM_FilterThatFits)->Arg(1213)->Arg(5000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_FilterThatFitsNowhere)->Arg(5000)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
