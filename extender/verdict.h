#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "binpack/insufficient.h"
#include "binpack/node.h"
#include "binpack/place/score_model.h"
#include "binpack/types.h"
#include "extender/snapshot.h"

namespace tessera::extender {

/// What a node is to a pod.
struct Verdict {
  /// Not empty: nothing may be placed here, and why; lives forever.
  std::string_view refusal{};
  bool fits = false;
  std::int64_t score = 0;  ///< if it fits: [0, kMaxFineScore] by the pod's node policy
  std::vector<binpack::Insufficient> shortages{};  ///< if not
  bool resolvable = false;                         ///< as in binpack::FitResult

  bool operator==(const Verdict&) const = default;
};

/// The GPUs are chosen as Cache chooses them when its preference is `model`.
Verdict Judge(const binpack::NodeInfo& node, const binpack::PodRequest& request,
              const binpack::ScoreModel& model);
/// The same for the node with everything that is held on it, or its refusal.
Verdict Judge(const NodeView& view, const binpack::PodRequest& request,
              const binpack::ScoreModel& model);

}  // namespace tessera::extender
