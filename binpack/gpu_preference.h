#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "binpack/node.h"
#include "binpack/types.h"

namespace tessera::binpack {

/// A GPU of a node that a container could take.
struct GpuOption {
  std::size_t device;     ///< in node.devices
  Amount growth;          ///< of what the pod holds of this GPU
  std::int64_t loss = 0;  ///< if it is taken: the less the better; comparable on one node only
};

/// Which GPU of a node had better be taken by a pod that packs, where the tightest one is not
/// always the best. Thread-safe.
class GpuPreference {
 public:
  virtual ~GpuPreference() = default;

  /// Fills the options' losses, the same for every order of node.devices; leaves them alone if it
  /// has no opinion. `held`: what the pod holds of each GPU of the node already.
  virtual void Rate(const NodeInfo& node, const PodRequest& request, std::span<const Amount> held,
                    std::span<GpuOption> options) const = 0;
};

}  // namespace tessera::binpack
