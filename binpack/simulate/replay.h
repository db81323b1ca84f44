#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "binpack/place/policy.h"
#include "binpack/simulate/trace.h"

namespace tessera::binpack::simulate {

/// Nanoseconds of a steady clock; empty: decisions are not timed.
using NanoClock = std::function<std::int64_t()>;

struct ReplayOptions {
  double load = 1.3;  ///< arrivals stop at this part of GPU capacity
  std::uint64_t seed = 1;
  /// Arrived loads at which the state of affairs is noted; ascending, at most `load`.
  std::vector<double> marks{1.0, 1.1, 1.2, 1.3};
  NanoClock clock{};
};

/// The state of affairs at one arrived load.
struct Mark {
  double load = 0;
  double cores = 0;   ///< allocated part of the GPUs' cores
  double memory = 0;  ///< allocated part of the GPUs' memory
  int failed = 0;     ///< pods that fitted nowhere so far
};

struct ReplayResult {
  std::vector<Mark> marks;
  /// Part of GPU capacity at the end that is idle and that the mean typical pod with GPUs cannot
  /// use, the mean of both dimensions.
  double fragmentation = 0;
  int arrived = 0;
  int failed = 0;
  std::size_t bytes = 0;  ///< that states and scores take at the end
  double mean_us = 0;     ///< of a decision, the commit included
  double p99_us = 0;
};

/// What sees each arrival before it is placed and may hand out another policy to place it and those
/// after it (null: go on); for demand that is learned.
using Observer = std::function<std::unique_ptr<Policy>(const PodShape&)>;

/// Pods arrive in a shuffled order, and when the trace is used up by drawing from it with
/// replacement; each is placed at once or fails for good, and none leaves.
/// REQUIRES: the trace has nodes, and pods of which one asks for a GPU.
ReplayResult Replay(const Trace& trace, const Demand& demand, std::unique_ptr<Policy> policy,
                    const ReplayOptions& options, const Observer& observe = {});

/// All policies, by name: random, best-fit, hami, fgd, fragment.
const std::vector<std::string>& PolicyNames();
/// Null for a name that is not one of them.
std::unique_ptr<Policy> MakePolicy(std::string_view name, const std::vector<NodeRoom>& empty_nodes,
                                   const Demand& demand, std::uint64_t seed,
                                   const ValueWeights& weights = {});

/// Idle part of GPU capacity that the mean typical pod with GPUs cannot use.
double FragmentationOf(const std::vector<NodeRoom>& nodes, const Demand& demand, double capacity);

}  // namespace tessera::binpack::simulate
