// Any body is PreemptionArgs or an error that says why; what preempt makes of it is JSON again, and
// names nobody of the cache but the pods that may be evicted.
#include <cstdint>
#include <string_view>

#include "common/base/clock.h"
#include "common/json/json.h"
#include "extender/preempt.h"
#include "tests/fuzz/check.h"

using namespace tessera;

namespace {

/// A node that is full of one pod.
struct Cluster {
  SystemClock clock;
  extender::Ranking ranking;
  extender::Cache cache{clock, {.preference = [this] { return ranking.model(); }}};
  extender::Preempt preempt{cache, ranking, [] { return true; }};

  Cluster() {
    contract::Inventory inventory;
    inventory.gpus.push_back({.uuid = "GPU-0", .model = "A100", .memory_mib = 1000});
    cache.SetNode("full", Result<contract::Inventory>(inventory));
    const binpack::Placement placement{{{binpack::ContainerKind::kApp, 0, {{"GPU-0", 900, 0}}}}};
    cache.AddPod("x", "full", contract::Assignment{.node = "full", .placement = placement}, 0,
                 {.priority = 1});
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Cluster cluster;
  const auto args = extender::ParsePreemptionArgs({reinterpret_cast<const char*>(data), size});
  if (!args) {
    FUZZ_CHECK(!args.error().message.empty());
    return 0;
  }
  const auto nodes = cluster.preempt.Handle(*args);
  FUZZ_CHECK(nodes.has_value());
  FUZZ_CHECK(json::Parse(extender::PreemptionResultJson(*nodes)));
  if (!args->pod.request.containers.empty()) {
    FUZZ_CHECK(nodes->size() <= 1);
    for (const auto& node : *nodes) FUZZ_CHECK(node.node == "full" && !node.uids.empty());
  }
  if (args->pod.uid != "x") cluster.cache.RemovePod(args->pod.uid);
  return 0;
}
