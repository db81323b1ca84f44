// Any body is ExtenderArgs or an error that says why; what filter and prioritize make of it is JSON
// again.
#include <cstdint>
#include <string_view>

#include "common/base/clock.h"
#include "common/json/json.h"
#include "extender/filter.h"
#include "extender/prioritize.h"
#include "tests/fuzz/check.h"

using namespace tessera;

namespace {

/// A small cluster; filters hold GPUs in it, binds never come.
struct Cluster {
  SystemClock clock;
  extender::Ranking ranking;
  extender::VerdictCache verdicts;
  extender::Cache cache{clock, {.preference = [this] { return ranking.model(); }}};
  extender::Filter filter{cache, ranking, verdicts, {}, [] { return true; }, {}};
  extender::Prioritize prioritize{cache, ranking, verdicts};

  Cluster() {
    contract::Inventory inventory;
    for (int i = 0; i < 2; ++i) {
      inventory.gpus.push_back(
          {.uuid = "GPU-" + std::to_string(i), .index = i, .model = "A100", .memory_mib = 1000});
    }
    cache.SetNode("a", Result<contract::Inventory>(inventory));
    cache.SetNode("noagent", std::nullopt);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Cluster cluster;
  const auto args = extender::ParseExtenderArgs({reinterpret_cast<const char*>(data), size});
  if (!args) {
    FUZZ_CHECK(!args.error().message.empty());
    return 0;
  }
  const auto result = cluster.filter.Handle(*args);
  FUZZ_CHECK(json::Parse(result ? extender::FilterResultJson(*result)
                                : extender::FilterErrorJson(result.error().message)));
  const auto scores = cluster.prioritize.Handle(*args);
  FUZZ_CHECK(scores.size() == (args->node_names ? args->node_names->size() : args->nodes.size()));
  cluster.cache.Drop(args->pod.uid);
  const auto seen = cluster.cache.UpdateSnapshot();
  for (std::size_t i = 0; i < seen->size(); ++i) FUZZ_CHECK(seen->view(i).holds.empty());
  return 0;
}
