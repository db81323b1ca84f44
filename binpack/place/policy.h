#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "binpack/place/demand.h"
#include "binpack/place/node_value.h"
#include "binpack/place/room.h"

namespace tessera::binpack {

/// Which of several equally good nodes is taken.
enum class TieBreak { kFirst, kLast, kRandom };

/// How good a place is: the higher the better. One thread only.
class Policy {
 public:
  virtual ~Policy() = default;

  virtual std::string_view name() const = 0;
  virtual TieBreak tie_break() const { return TieBreak::kFirst; }

  /// A number of the node alone, which Score is given; Placer computes it once for each state.
  virtual double Value(const NodeRoom&) { return 0; }
  /// Score of placing `shape`, and the GPUs that it would take.
  /// REQUIRES: HasRoom(room, shape), `room` is Sorted and value = Value(room).
  virtual float Score(const NodeRoom& room, double value, const PodShape& shape,
                      GpuChoice& choice) = 0;

  /// A node has come, gone (then the other room has no GPUs) or changed.
  /// Returns true if values and scores given before are void.
  virtual bool Observe(const NodeRoom& before, const NodeRoom& after);
};

/// Any node that fits, any GPU that fits.
std::unique_ptr<Policy> MakeRandomPolicy(std::uint64_t seed);
/// The node with the least left, CPU and GPU measured against the largest node.
std::unique_ptr<Policy> MakeBestFitPolicy(const std::vector<NodeRoom>& empty_nodes);
/// As HAMi with both its policies set to binpack: the node whose GPUs are fullest before the
/// placement, on it the fullest GPUs that fit. Pods without GPUs never reach HAMi: kube-scheduler's
/// default scores place them, LeastAllocated + BalancedAllocation of CPU and memory.
std::unique_ptr<Policy> MakeHamiPolicy();
/// As FGD's simulator: typical pods up to 95 % of all, the fragment's decrease through a sigmoid,
/// rounded to hundredths.
std::unique_ptr<Policy> MakeFgdPolicy(const Demand& demand);
/// The node whose lost value grows least: see NodeValue.
std::unique_ptr<Policy> MakeFragmentPolicy(const Demand& demand, const Fleet& fleet,
                                           const ValueWeights& weights);

/// For value policies: the GPUs of `room` that leave the smallest `lost(room after)`.
/// Pods with several GPUs take the tightest ones.
template <typename Lost>
double LeastLost(const NodeRoom& room, const PodShape& shape, GpuChoice& choice, Lost lost) {
  NodeRoom after = room;
  if (shape.gpus != 1) {
    choice = TightestGpus(room, shape);
    Take(after, shape, choice);
    return lost(after);
  }
  double best = 0;
  bool found = false;
  for (int i = 0; i < room.gpus; ++i) {
    const Share& rest = room.rest[static_cast<std::size_t>(i)];
    if (!Within(shape.share, rest)) continue;
    if (i > 0 && rest == room.rest[static_cast<std::size_t>(i - 1)]) continue;
    const GpuChoice one{static_cast<std::int8_t>(i)};
    Take(after, shape, one);
    const double value = lost(after);
    Give(after, shape, one);
    if (found && value >= best - 1e-9) continue;
    found = true;
    best = value;
    choice = one;
  }
  return best;
}

}  // namespace tessera::binpack
