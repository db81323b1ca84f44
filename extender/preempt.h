#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "binpack/evict.h"
#include "common/base/result.h"
#include "extender/cache.h"
#include "extender/ranking.h"
#include "extender/wire.h"

namespace tessera::extender {

/// The preempt verb: kube-scheduler chose victims by the nodes' totals; this sees to it that a GPU
/// comes free. Thread-safe.
///
/// Where the pod fits once the scheduler's victims are gone, they stay as they are. Elsewhere the
/// GPU pods among them are replaced by those whose GPUs are needed, or the node is dropped. One
/// node is answered, so that its GPUs can be held until the victims have left.
class Preempt {
 public:
  /// `cache` and `ranking` must outlive this. `synced` says whether the cache has been filled.
  Preempt(Cache& cache, const Ranking& ranking, std::function<bool()> synced);
  /// The node to preempt on, or none.
  Result<std::vector<NodeVictims>> Handle(const PreemptionArgs& args) const;

 private:
  struct Plan;
  std::optional<Plan> PlanFor(const WirePod& pod, const NodeVictims& offered) const;

  Cache& cache_;
  const Ranking& ranking_;
  const std::function<bool()> synced_;
};

}  // namespace tessera::extender
