#include "extender/metrics.h"

#include <utility>

#include "binpack/fragmentation.h"

namespace tessera::extender {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

MetricFamily Gauge(std::string name, std::string help) {
  return {std::move(name), std::move(help), prometheus::MetricType::Gauge, {}};
}

void Add(MetricFamily& family, std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

double Bytes(std::int64_t mib) { return static_cast<double>(mib) * 1024 * 1024; }
double Share(std::int64_t percent) { return static_cast<double>(percent) / 100; }

/// The families of one GPU each.
struct GpuFamilies {
  MetricFamily memory_allocated = Gauge("tessera_extender_gpu_memory_allocated_bytes",
                                        "Memory of the GPU that pods have been given.");
  MetricFamily cores_allocated = Gauge("tessera_extender_gpu_cores_allocated_ratio",
                                       "Compute of the GPU that pods have been given.");

  void AddDevice(const std::string& node, const binpack::DeviceInfo& info) {
    const std::vector<ClientMetric::Label> labels = {{"node", node},
                                                     {"gpu_uuid", info.device.uuid}};
    Add(memory_allocated, labels, Bytes(info.used.memory_mib));
    Add(cores_allocated, labels, Share(info.used.cores_percent));
  }
};

}  // namespace

std::vector<MetricFamily> ClusterMetrics::Collect() const {
  const auto snapshot = cache_.UpdateSnapshot();
  GpuFamilies gpus;
  auto cluster = Gauge("tessera_cluster_fragmentation_ratio",
                       "Part of all GPU capacity that is idle and of no use to the typical pod.");
  auto node_ratio = Gauge("tessera_node_fragmentation_ratio", "The same for one node.");
  auto over = Gauge("tessera_node_over_committed",
                    "1 if more is committed on a GPU of the node than it has.");
  auto closed =
      Gauge("tessera_node_closed",
            "1 if nothing may be placed on the node: no or bad inventory, bad assignment.");
  binpack::FragmentationSum sum;
  for (std::size_t i = 0; i < snapshot->size(); ++i) {
    const NodeView& view = snapshot->view(i);
    sum.Add(view.fragmentation);
    Add(node_ratio, {{"node", view.name}}, binpack::RatioOf(view.fragmentation).value());
    Add(over, {{"node", view.name}}, view.over_committed ? 1 : 0);
    Add(closed, {{"node", view.name}}, view.refusal.empty() ? 0 : 1);
    for (const auto& info : view.committed.devices) gpus.AddDevice(view.name, info);
  }
  Add(cluster, {}, sum.ratio().value());
  return {cluster, node_ratio, over, closed, gpus.memory_allocated, gpus.cores_allocated};
}

RejectionMetrics::RejectionMetrics(prometheus::Registry& registry) {
  auto& family = prometheus::BuildCounter()
                     .Name("tessera_extender_rejected_nodes_total")
                     .Help("Nodes that did not fit, by reason, of pods that fit on no node.")
                     .Register(registry);
  for (const auto label : AllShortageLabels())
    counters_[label] = &family.Add({{"reason", std::string(label)}});
}

void RejectionMetrics::Count(const Reasons& reasons) {
  for (const auto& [label, count] : reasons.Counts()) counters_.at(label)->Increment(count);
}

}  // namespace tessera::extender
