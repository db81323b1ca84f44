#pragma once

#include <optional>
#include <vector>

#include "binpack/gpu_preference.h"
#include "binpack/insufficient.h"
#include "binpack/node.h"
#include "binpack/types.h"

namespace tessera::binpack {

/// The verdict on one node.
struct FitResult {
  std::optional<Placement> placement;     ///< containers in the order of the request, GPUs by index
  std::vector<Insufficient> shortages{};  ///< why not; empty if it fits
  /// Only for what does not fit: true if it would fit were the node's GPUs empty, so that waiting
  /// or evicting helps.
  bool resolvable = false;

  bool fits() const { return placement.has_value(); }
};

/// How many GPUs Search tries before it gives up on a pod with several containers. A pod with one
/// container never needs more than one try for each of its GPUs.
inline constexpr int kMaxFitSteps = 1000;

/// Chooses GPUs for every container, by request.gpu_policy: pack leaves the least behind on the
/// chosen GPU in both dimensions together, spread the most. For a pack container with one GPU
/// `preference`, unless null, speaks first. An init container takes GPUs where the pod's
/// reservation grows least.
///
/// Finds a placement whenever there is one, within kMaxFitSteps. The verdict does not depend on the
/// order of node.devices. REQUIRES: the request's amounts are within the bounds of types.h.
FitResult Fit(const NodeInfo& node, const PodRequest& request,
              const GpuPreference* preference = nullptr);

/// As Fit, without the reasons: faster where only the answer matters.
std::optional<Placement> FindPlacement(const NodeInfo& node, const PodRequest& request,
                                       const GpuPreference* preference = nullptr);

}  // namespace tessera::binpack
