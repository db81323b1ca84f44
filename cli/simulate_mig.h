#pragma once

#include <string>
#include <vector>

#include "binpack/simulate/mig_churn.h"

namespace tessera::cli {

struct MigRun {
  std::string policy;
  std::uint64_t seed = 0;
  const binpack::mig::Family* family = nullptr;
  binpack::simulate::MigResult result;
};

std::vector<std::string> MigFamilyNames();
/// Every MIG policy with `seeds` seeds from options.seed on. REQUIRES: names that exist.
std::vector<MigRun> SimulateMig(const std::string& family,
                                const binpack::simulate::MigOptions& options, int seeds);
/// Means over the seeds: what was accepted of the slots asked for, and of each profile.
std::string MigTable(const std::vector<MigRun>& runs);
/// {"policy":…,"seed":…,"accepted":…,"profiles":{"1g.10gb":…}}, one line for each run; profiles
/// that were never accepted or asked for are 0.
std::string MigJson(const std::vector<MigRun>& runs);

}  // namespace tessera::cli
