// Filter calls: whole, as ExtenderArgs with all names in and ExtenderFilterResult out, and without
// JSON.
#include <string>

#include <benchmark/benchmark.h>

#include "common/base/clock.h"
#include "common/json/json.h"
#include "extender/filter.h"

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
  return R"({"Pod":{"metadata":{"name":"p","namespace":"d","uid":"u"},"spec":)"
         R"({"containers":[{"name":"c","resources":{"limits":{"tessera.dev/gpu-memory":")" +
         memory_mib + R"(","tessera.dev/gpu-cores":"20"}}}]}},"Nodes":null,"NodeNames":)" +
         names.Take() + "}";
}

constexpr const char* kFits = "16000";
constexpr const char* kFitsNowhere = "90000";

/// A cluster and its filter.
class Extender {
 public:
  explicit Extender(int nodes) { Fill(cache_, nodes); }

  extender::FilterResult Filter(const extender::ExtenderArgs& args) {
    return *filter_.Handle(args);
  }
  std::size_t FilterText(const std::string& body) {
    return extender::FilterResultJson(Filter(*extender::ParseExtenderArgs(body))).size();
  }
  void Bind(const std::string& uid, const std::string& node, const binpack::PodRequest& request) {
    benchmark::DoNotOptimize(cache_.AssumePod(uid, node, request));
  }
  void Remove(const std::string& uid) { cache_.RemovePod(uid); }

 private:
  const SystemClock clock_;
  extender::Ranking ranking_;
  extender::VerdictCache verdicts_;
  extender::Cache cache_{clock_, {.preference = [this] { return ranking_.model(); }}};
  const extender::Filter filter_{cache_, ranking_, verdicts_, {}, [] { return true; }, {}};
};

/// The same pod again, with nothing that changed.
void Json(benchmark::State& state, const char* memory_mib) {
  Extender extender(static_cast<int>(state.range(0)));
  const std::string body = ArgsText(static_cast<int>(state.range(0)), memory_mib);
  std::size_t answered = extender.FilterText(body);
  for (auto _ : state) benchmark::DoNotOptimize(answered = extender.FilterText(body));
  state.counters["answer_bytes"] = static_cast<double>(answered);
}

void Warm(benchmark::State& state, const char* memory_mib) {
  Extender extender(static_cast<int>(state.range(0)));
  const auto args =
      *extender::ParseExtenderArgs(ArgsText(static_cast<int>(state.range(0)), memory_mib));
  extender.Filter(args);
  for (auto _ : state) benchmark::DoNotOptimize(extender.Filter(args));
}

/// A pod is bound between two filters, and the one before it ends.
void AfterABind(benchmark::State& state, const char* memory_mib) {
  const int nodes = static_cast<int>(state.range(0));
  Extender extender(nodes);
  const auto args = *extender::ParseExtenderArgs(ArgsText(nodes, memory_mib));
  const auto bound = extender::ParseExtenderArgs(ArgsText(1, kFits))->pod.request;
  extender.Filter(args);
  int i = 0;
  for (auto _ : state) {
    extender.Remove("b" + std::to_string(i));
    ++i;
    extender.Bind("b" + std::to_string(i), Name(i * 7919 % nodes), bound);
    benchmark::DoNotOptimize(extender.Filter(args));
  }
}

/// New pods, each filtered, held and bound, and a hundred later gone: with all that is learned.
void PodsThatCome(benchmark::State& state) {
  const int nodes = static_cast<int>(state.range(0));
  Extender extender(nodes);
  auto args = *extender::ParseExtenderArgs(ArgsText(nodes, kFits));
  args.pod.managed = true;
  extender.Filter(args);
  int i = 0;
  for (auto _ : state) {
    args.pod.uid = std::to_string(++i);
    const auto result = extender.Filter(args);
    extender.Bind(args.pod.uid, result.node_names.front(), args.pod.request);
    extender.Remove(std::to_string(i - 100));
  }
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(1213)->Arg(5000)->Arg(15000)->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(Json, fits, kFits)->Apply(Sizes);
BENCHMARK_CAPTURE(Json, fits_nowhere, kFitsNowhere)->Apply(Sizes);
BENCHMARK_CAPTURE(Warm, fits, kFits)->Apply(Sizes);
BENCHMARK_CAPTURE(Warm, fits_nowhere, kFitsNowhere)->Apply(Sizes);
BENCHMARK_CAPTURE(AfterABind, fits, kFits)->Apply(Sizes);
BENCHMARK_CAPTURE(AfterABind, fits_nowhere, kFitsNowhere)->Apply(Sizes);
BENCHMARK(PodsThatCome)->Apply(Sizes);

}  // namespace

BENCHMARK_MAIN();
