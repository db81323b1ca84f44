#pragma once

#include <cstdint>
#include <span>

/// Weighted fair queueing among the containers of one class on one GPU. Pure.
namespace tessera::agent {

/// One container's account. `ahead_ns` is what it was charged beyond its share of what all of them
/// were charged while it wanted some, divided by its weight: who has the least is next. Those that
/// are active always sum up to zero (each times its weight), so nothing drifts and nobody can save
/// up by being away: an absent account runs down to nothing, or to one window of credit, at the
/// rate of its share.
struct FairShare {
  double weight = 1;  ///< percent of the GPU
  double ahead_ns = 0;
  bool active = false;  ///< as of the last Settle
};

/// What has happened to one account since the last Settle.
struct ShareUse {
  FairShare* share = nullptr;
  double charged_ns = 0;  ///< of GPU time
  bool active = false;    ///< wants or uses the GPU now
};

/// The most that one container may owe, of GPU time: kernels up to that long give exact shares.
inline constexpr double kMostDebtNs = 10e9;

/// `elapsed_ns` have gone by. `credit_ns`: what one that was away may come back with, of GPU time.
/// REQUIRES: all accounts of the class are there; weights are at least 1.
void Settle(std::span<const ShareUse> uses, double elapsed_ns, double credit_ns);

}  // namespace tessera::agent
