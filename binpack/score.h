#pragma once

#include <cstdint>

#include "binpack/fragmentation.h"
#include "binpack/node.h"
#include "binpack/reservation.h"

namespace tessera::binpack {

/// What kube-scheduler is told.
inline constexpr std::int64_t kMaxNodeScore = 100;
/// What nodes are ranked by; fine enough that two different outcomes seldom tie.
inline constexpr std::int64_t kMaxFineScore = 1'000'000;

/// All scores: exact integers in [0, kMaxFineScore], higher is better, the same on every machine
/// and for every order of devices. REQUIRES: `reservation` fits on `node`.

/// Least fragmentation: three parts of the fragment that the placement uses up (or, below the
/// middle, makes), one part of how full it leaves the GPUs it touches. `before` is
/// Measure(RestsOf(node), workload).
std::int64_t PackScore(const NodeInfo& node, const Reservation& reservation,
                       const Workload& workload, const Fragmentation& before);

/// The free part of the node's capacity after the placement, mean of both dimensions.
std::int64_t SpreadScore(const NodeInfo& node, const Reservation& reservation);

/// PackScore or SpreadScore.
std::int64_t FineScore(PlacementPolicy policy, const NodeInfo& node, const Reservation& reservation,
                       const Workload& workload, const Fragmentation& before);

/// [0, kMaxFineScore] to [0, kMaxNodeScore], rounded down.
std::int64_t ToNodeScore(std::int64_t fine);

}  // namespace tessera::binpack
