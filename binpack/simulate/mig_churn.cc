#include "binpack/simulate/mig_churn.h"

#include <functional>
#include <queue>
#include <random>

namespace tessera::binpack::simulate {
namespace {

struct Instance {
  double end = 0;
  std::size_t profile = 0;
  mig::Spot spot;
  bool operator>(const Instance& other) const { return end > other.end; }
};

std::vector<double> MixOf(const mig::Family& family, std::string_view mix) {
  std::vector<double> weights;
  for (const mig::Profile& profile : family.profiles) {
    const bool doubled = profile.compute_slices < profile.slots && profile.compute_slices == 1;
    const bool whole = profile.slots == family.slots;
    double weight = profile.media_engine || doubled ? 0 : 1;
    if (mix == "small") weight /= profile.compute_slices;
    if (mix == "no-largest" && whole) weight = 0;
    weights.push_back(weight);
  }
  return weights;
}

std::optional<mig::Spot> Choose(const mig::StateTable& table,
                                const std::vector<mig::GpuState>& gpus, std::size_t profile,
                                const std::string& policy, const mig::ProfileDemand& demand) {
  if (policy == "first-fit") return mig::FirstFit(table, gpus, profile);
  if (policy == "spread") return mig::Spread(table, gpus, profile);
  return mig::LeastCapabilityLoss(table, gpus, profile, demand.Weights());
}

/// What was asked for and what was granted, by profile.
struct Tally {
  std::vector<double> asked;
  std::vector<double> granted;
};

MigResult ResultOf(const Tally& tally, const mig::Family& family) {
  MigResult result;
  double asked = 0;
  double granted = 0;
  for (std::size_t p = 0; p < family.profiles.size(); ++p) {
    asked += tally.asked[p] * family.profiles[p].slots;
    granted += tally.granted[p] * family.profiles[p].slots;
    result.accepted_of_profile.push_back(tally.asked[p] > 0 ? tally.granted[p] / tally.asked[p]
                                                            : 0);
  }
  result.accepted = asked > 0 ? granted / asked : 0;
  return result;
}

}  // namespace

const std::vector<std::string>& MigPolicyNames() {
  static const std::vector<std::string> names{"capability", "first-fit", "spread"};
  return names;
}

const std::vector<std::string>& MigMixNames() {
  static const std::vector<std::string> names{"uniform", "small", "no-largest"};
  return names;
}

MigResult MigChurn(const mig::StateTable& table, const MigOptions& options) {
  const mig::Family& family = table.family();
  const std::vector<double> mix = MixOf(family, options.mix);
  double slots = 0;
  double total = 0;
  for (std::size_t p = 0; p < mix.size(); ++p) {
    slots += mix[p] * family.profiles[p].slots;
    total += mix[p];
  }
  std::mt19937_64 random(options.seed);
  std::discrete_distribution<std::size_t> draw(mix.begin(), mix.end());
  std::exponential_distribution<double> gap(options.offered * options.gpus * family.slots * total /
                                            slots);
  std::exponential_distribution<double> lifetime(1.0);

  std::vector<mig::GpuState> gpus(static_cast<std::size_t>(options.gpus));
  std::priority_queue<Instance, std::vector<Instance>, std::greater<>> running;
  mig::ProfileDemand demand(family);
  Tally tally{std::vector<double>(mix.size(), 0), std::vector<double>(mix.size(), 0)};
  double now = 0;
  for (int i = 0; i < options.arrivals; ++i) {
    now += gap(random);
    for (; !running.empty() && running.top().end <= now; running.pop()) {
      const Instance& gone = running.top();
      mig::GpuState& gpu = gpus[gone.spot.gpu];
      gpu = Remove(gpu, family.profiles[gone.profile], gone.spot.start);
    }
    const std::size_t profile = draw(random);
    const double stays = lifetime(random);
    demand.Observe(profile);
    const auto spot = Choose(table, gpus, profile, options.policy, demand);
    const bool counted = i >= options.arrivals / 10;
    if (counted) tally.asked[profile] += 1;
    if (!spot) continue;
    if (counted) tally.granted[profile] += 1;
    gpus[spot->gpu] = Add(gpus[spot->gpu], family.profiles[profile], spot->start);
    running.push({now + stays, profile, *spot});
  }
  return ResultOf(tally, family);
}

}  // namespace tessera::binpack::simulate
