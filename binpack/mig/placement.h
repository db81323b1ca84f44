#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "binpack/mig/geometry.h"

namespace tessera::binpack::mig {

/// Where an instance goes.
struct Spot {
  std::size_t gpu = 0;
  int start = 0;

  bool operator==(const Spot&) const = default;
};

/// How often each profile of a family is asked for: exponentially weighted arrivals, so that no
/// profile's weight is ever zero. One thread only.
class ProfileDemand {
 public:
  /// Each arrival leaves `decay` of the counts before it.
  explicit ProfileDemand(const Family& family, double decay = 0.99);
  void Observe(std::size_t profile);
  /// Part of the arrivals, but for the profiles of half a GPU and more at least kLargeFloor: a
  /// profile that is seldom asked for must still find its place when it is.
  std::vector<double> Weights() const;

  static constexpr double kLargeFloor = 0.1;

 private:
  const Family& family_;
  double decay_;
  std::vector<double> counts_;
};

/// The spot that costs least capability: the sum over profiles of weight × slots × the starts that
/// it takes away from them. Of equal ones the fullest GPU, and on it the highest start. Nothing if
/// none is free. REQUIRES: a weight for each profile.
std::optional<Spot> LeastCapabilityLoss(const StateTable& table, std::span<const GpuState> gpus,
                                        std::size_t profile, std::span<const double> weights);
/// The first GPU with room, its lowest start.
std::optional<Spot> FirstFit(const StateTable& table, std::span<const GpuState> gpus,
                             std::size_t profile);
/// The emptiest GPU with room, its lowest start.
std::optional<Spot> Spread(const StateTable& table, std::span<const GpuState> gpus,
                           std::size_t profile);

}  // namespace tessera::binpack::mig
