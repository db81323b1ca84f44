#pragma once

#include "binpack/simulate/replay.h"

namespace tessera::binpack::simulate {

struct ChurnOptions {
  double offered = 0.9;  ///< GPU demand that is there on average, as a part of capacity
  double warm_up = 2;    ///< mean lifetimes before anything is counted
  double measured = 3;   ///< mean lifetimes that are counted
  std::uint64_t seed = 1;
};

struct ChurnResult {
  double allocated = 0;  ///< mean part of GPU capacity in use
  double blocked = 0;    ///< part of the GPU demand that fitted nowhere when it came
};

/// Pods drawn from the trace come at random times (Poisson), stay for exponential lifetimes and go.
ChurnResult Churn(const Trace& trace, std::unique_ptr<Policy> policy, const ChurnOptions& options);

}  // namespace tessera::binpack::simulate
