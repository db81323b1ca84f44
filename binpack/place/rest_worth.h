#pragma once

#include <vector>

#include "binpack/place/demand.h"

namespace tessera::binpack {

/// What the rest of a GPU is worth to the pods to come, in GPUs: a whole one is worth 1, nothing 0.
///
/// The demand is cut from as few GPUs as a fractional solution allows (a cutting-stock linear
/// program by column generation). Its dual prices say how much of a GPU each size of request takes
/// up in effect: "47 %" takes half, as no third one fits. A rest is worth the dearest set of
/// requests that fits into it. Rests are rounded down to, and requests up to, a hundredth.
/// Thread-compatible.
class RestWorth {
 public:
  /// Looks at the kMaxSizes sizes that are asked for most. Without GPU demand a rest is worth what
  /// it is.
  explicit RestWorth(const Demand& demand);

  static constexpr std::size_t kMaxSizes = 160;

  double of(const Share& rest) const {
    const auto memory = static_cast<std::size_t>(rest.memory / 10);
    const auto cores = static_cast<std::size_t>(rest.cores / 10);
    return worth_[one_dimension_ ? (memory < cores ? memory : cores) : memory * kCells + cores];
  }

 private:
  static constexpr std::size_t kCells = 101;
  bool one_dimension_ = true;  ///< every request asks for the same part of both dimensions
  std::vector<double> worth_;
};

}  // namespace tessera::binpack
