#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "binpack/node.h"
#include "binpack/reservation.h"
#include "binpack/types.h"

namespace tessera::binpack {

/// A request that pods often make, and how often: `frequency` of the workload's total.
struct TypicalRequest {
  GpuRequest gpu;
  std::int64_t frequency = 1;
};

/// The typical requests that fragmentation is measured against.
/// REQUIRES: at most 1000 requests, each with a frequency from 1 to 1000 and amounts within the
/// bounds of types.h.
struct Workload {
  std::vector<TypicalRequest> requests;
};

/// The built-in default, in percent of a GPU: mostly whole GPUs, then large and half slices; see
/// README.md.
const Workload& DefaultWorkload();

/// What is left on one GPU. An unhealthy GPU has no capacity; one held exclusively has nothing
/// left.
struct GpuRest {
  Amount free;  ///< never negative
  Amount capacity;
};
std::vector<GpuRest> RestsOf(const NodeInfo& node);
/// RestsOf(node) after Reserve(node, reservation), without touching the node.
std::vector<GpuRest> RestsAfter(const NodeInfo& node, const Reservation& reservation);

/// An exact fraction, 0 to 1. Denominator 0: there is nothing to measure, the ratio is 0.
struct Ratio {
  unsigned __int128 numerator = 0;
  unsigned __int128 denominator = 0;
  double value() const;
};

/// The idle amounts that a typical request cannot use (the F of the FGD paper, in two dimensions).
///
/// For a node and a request, the idle amounts of all GPUs are lost if fewer GPUs than it wants have
/// enough of both memory and cores; else those of the GPUs that have not. Lost amounts are weighted
/// by frequency and summed over requests; sums over nodes are sums of the members.
struct Fragmentation {
  std::int64_t lost_memory = 0;      ///< MiB × frequency
  std::int64_t lost_cores = 0;       ///< percent × frequency
  std::int64_t capacity_memory = 0;  ///< MiB
  std::int64_t capacity_cores = 0;   ///< percent
  std::int64_t total_frequency = 0;  ///< of the workload
};

/// Adds up nodes that were measured against one workload.
class FragmentationSum {
 public:
  void Add(const Fragmentation& node);
  /// Mean over both dimensions of lost/capacity: the part of all GPU capacity that is idle and of
  /// no use to the mean typical request.
  Ratio ratio() const;

 private:
  using Wide = unsigned __int128;
  Wide lost_memory_ = 0;
  Wide lost_cores_ = 0;
  Wide capacity_memory_ = 0;
  Wide capacity_cores_ = 0;
  std::int64_t total_frequency_ = 0;
};

/// REQUIRES: at most kMaxGpusPerNode rests.
Fragmentation Measure(std::span<const GpuRest> rests, const Workload& workload);
Ratio RatioOf(const Fragmentation& fragmentation);

}  // namespace tessera::binpack
