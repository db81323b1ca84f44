#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include "extender/cache.h"
#include "extender/reasons.h"

namespace tessera::extender {

/// The state of the cluster, read from the cache on each scrape:
///
///   tessera_cluster_fragmentation_ratio     capacity that is idle and of no use to the typical pod
///   tessera_node_fragmentation_ratio{node}
///   tessera_node_over_committed{node}       1 if more is committed on a GPU than it has
///   tessera_node_closed{node}               1 if nothing may be placed on the node
///   tessera_extender_gpu_memory_allocated_bytes{node,gpu_uuid}
///   tessera_extender_gpu_cores_allocated_ratio{node,gpu_uuid}
///
/// The GPUs' capacities are the agent's to tell, and tessera_gpu_* are its names: no sum may count
/// a GPU twice. Allocated is what bound and assumed pods hold. Thread-safe.
class ClusterMetrics final : public prometheus::Collectable {
 public:
  /// `cache` must outlive this.
  explicit ClusterMetrics(Cache& cache) : cache_(cache) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Cache& cache_;
};

/// tessera_extender_rejected_nodes_total{reason}: nodes that did not fit, of pods that fit nowhere.
/// Thread-safe.
class RejectionMetrics {
 public:
  explicit RejectionMetrics(prometheus::Registry& registry);
  void Count(const Reasons& reasons);

 private:
  std::map<std::string_view, prometheus::Counter*> counters_;  ///< fixed after construction
};

}  // namespace tessera::extender
