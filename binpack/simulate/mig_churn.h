#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "binpack/mig/placement.h"

namespace tessera::binpack::simulate {

/// capability, first-fit, spread.
const std::vector<std::string>& MigPolicyNames();
/// uniform: every size alike; small: the smaller the more often; no-largest: all but the whole GPU,
/// alike. Media-engine profiles and 1g with two slots are left out.
const std::vector<std::string>& MigMixNames();

struct MigOptions {
  std::string policy = "capability";
  std::string mix = "uniform";
  int gpus = 8;
  double offered =
      0.8;  ///< demand for memory slots that is there on average, as a part of capacity
  int arrivals = 20'000;  ///< a tenth of them before anything is counted
  std::uint64_t seed = 1;
};

struct MigResult {
  double accepted = 0;  ///< of the memory slots asked for
  /// Accepted part of the arrivals of each profile of the family; 0 for those that never come.
  std::vector<double> accepted_of_profile;
};

/// Instances come at random times, stay for exponential lifetimes and go; none is moved.
/// REQUIRES: names that exist.
MigResult MigChurn(const mig::StateTable& table, const MigOptions& options);

}  // namespace tessera::binpack::simulate
