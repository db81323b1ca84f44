#pragma once

#include <vector>

#include "extender/cache.h"
#include "extender/ranking.h"
#include "extender/verdict_cache.h"
#include "extender/wire.h"

namespace tessera::extender {

/// The prioritize verb: 0 to 100 for each node, by the pod's node policy. kube-scheduler multiplies
/// by the extender's weight and by ten, so weight 1 spans 0 to 1000. Changes nothing. Thread-safe.
class Prioritize {
 public:
  /// All must outlive this.
  Prioritize(Cache& cache, const Ranking& ranking, VerdictCache& verdicts)
      : cache_(cache), ranking_(ranking), verdicts_(verdicts) {}
  /// One entry for each node of `args`, in its order; 0 where the pod does not fit or asks for no
  /// GPU.
  std::vector<HostPriority> Handle(const ExtenderArgs& args) const;

 private:
  Cache& cache_;
  const Ranking& ranking_;
  VerdictCache& verdicts_;
};

}  // namespace tessera::extender
