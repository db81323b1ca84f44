#include "binpack/mig/placement.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace tessera::binpack::mig {
namespace {

/// Weighted slots that instances still to come could take, each start counted.
double Capability(const StateTable& table, const GpuState& state, std::span<const double> weights) {
  double sum = 0;
  const auto profiles = table.family().profiles;
  for (std::size_t p = 0; p < profiles.size(); ++p) {
    sum += weights[p] * profiles[p].slots * std::popcount(table.Starts(state, p));
  }
  return sum;
}

int Taken(const GpuState& state) { return std::popcount(state.taken); }

}  // namespace

ProfileDemand::ProfileDemand(const Family& family, double decay)
    : family_(family), decay_(decay), counts_(family.profiles.size(), 1.0) {}

void ProfileDemand::Observe(std::size_t profile) {
  for (double& count : counts_) count *= decay_;
  counts_[profile] += 1;
}

std::vector<double> ProfileDemand::Weights() const {
  double sum = 0;
  for (const double count : counts_) sum += count + 1;  // one more each, as if each had been seen
  std::vector<double> weights;
  for (std::size_t p = 0; p < counts_.size(); ++p) {
    const bool large = 2 * family_.profiles[p].slots >= family_.slots;
    weights.push_back(std::max((counts_[p] + 1) / sum, large ? kLargeFloor : 0.0));
  }
  return weights;
}

std::optional<Spot> LeastCapabilityLoss(const StateTable& table, std::span<const GpuState> gpus,
                                        std::size_t profile, std::span<const double> weights) {
  constexpr double kEqual = 1e-9;
  std::optional<Spot> best;
  double best_loss = 0;
  for (std::size_t gpu = 0; gpu < gpus.size(); ++gpu) {
    const std::uint8_t starts = table.Starts(gpus[gpu], profile);
    if (starts == 0) continue;
    const double before = Capability(table, gpus[gpu], weights);
    for (int start = 0; start < table.family().slots; ++start) {
      if ((starts >> start & 1U) == 0) continue;
      const double loss =
          before -
          Capability(table, Add(gpus[gpu], table.family().profiles[profile], start), weights);
      const bool less = !best || loss < best_loss - kEqual;
      const bool equal = best && loss <= best_loss + kEqual;
      if (less || (equal && std::tuple(Taken(gpus[gpu]), start) >
                                std::tuple(Taken(gpus[best->gpu]), best->start))) {
        best = Spot{gpu, start};
        best_loss = loss;
      }
    }
  }
  return best;
}

std::optional<Spot> FirstFit(const StateTable& table, std::span<const GpuState> gpus,
                             std::size_t profile) {
  for (std::size_t gpu = 0; gpu < gpus.size(); ++gpu) {
    const std::uint8_t starts = table.Starts(gpus[gpu], profile);
    if (starts != 0) return Spot{gpu, std::countr_zero(starts)};
  }
  return std::nullopt;
}

std::optional<Spot> Spread(const StateTable& table, std::span<const GpuState> gpus,
                           std::size_t profile) {
  std::optional<Spot> best;
  for (std::size_t gpu = 0; gpu < gpus.size(); ++gpu) {
    const std::uint8_t starts = table.Starts(gpus[gpu], profile);
    if (starts == 0 || (best && Taken(gpus[gpu]) >= Taken(gpus[best->gpu]))) continue;
    best = Spot{gpu, std::countr_zero(starts)};
  }
  return best;
}

}  // namespace tessera::binpack::mig
