#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "binpack/node.h"
#include "binpack/types.h"

namespace tessera::binpack {

/// What is short.
enum class Shortage {
  kGpus,        ///< GPUs on the node
  kModel,       ///< GPUs of an accepted model
  kUuid,        ///< GPUs of an accepted uuid
  kHealth,      ///< healthy GPUs
  kMps,         ///< GPUs on which an MPS daemon can run, for a pod that wants one
  kUnshared,    ///< GPUs that nobody holds exclusively, or, for an exclusive pod, that nobody holds
  kMode,        ///< GPUs that are empty or in the pod's mode: MPS for one of MPS, else not MPS
  kMemory,      ///< memory of one GPU, MiB
  kCores,       ///< cores of one GPU, percent
  kMpsClients,  ///< clients that the MPS daemon of one GPU takes
  kBothAtOnce,  ///< GPUs with enough memory and enough cores: each alone would do
  kNuma,        ///< enough such GPUs on one NUMA node
  kTogether,    ///< room for all containers at once: each alone would do
};

/// Why something does not fit. Data, not an error.
///
/// For kMemory, kCores and kMpsClients, requested, used and capacity are of the GPU that comes
/// nearest, in the resource's unit. For the others they count GPUs: requested, and capacity for how
/// many there are.
struct Insufficient {
  Shortage shortage{};
  std::int64_t requested = 0;
  std::int64_t used = 0;
  std::int64_t capacity = 0;
  int gpus_requested = 0;  ///< that the container asks for
  int gpus_available = 0;  ///< that have enough

  bool operator==(const Insufficient&) const = default;
};

/// A constant text for each shortage: "insufficient GPU memory".
std::string_view ReasonText(Shortage shortage);

/// Why `request` does not fit on `node`. REQUIRES: it does not.
std::vector<Insufficient> Explain(const NodeInfo& node, const PodRequest& request);

}  // namespace tessera::binpack
