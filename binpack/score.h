#pragma once

#include <cstdint>

#include "binpack/node.h"
#include "binpack/reservation.h"

namespace tessera::binpack {

/// What kube-scheduler is told.
inline constexpr std::int64_t kMaxNodeScore = 100;
/// What nodes are ranked by; fine enough that two different outcomes seldom tie.
inline constexpr std::int64_t kMaxFineScore = 1'000'000;

/// The free part of the node's capacity after the placement, mean of both dimensions: an exact
/// integer in [0, kMaxFineScore], the same for every order of devices. Where pods pack, scores are
/// ScoreModel's. REQUIRES: `reservation` fits on `node`.
std::int64_t SpreadScore(const NodeInfo& node, const Reservation& reservation);

/// [0, kMaxFineScore] to [0, kMaxNodeScore], rounded down.
std::int64_t ToNodeScore(std::int64_t fine);

}  // namespace tessera::binpack
