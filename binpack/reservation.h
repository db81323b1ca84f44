#pragma once

#include <string>
#include <vector>

#include "binpack/node.h"
#include "binpack/types.h"

namespace tessera::binpack {

/// What a pod holds of one GPU from its binding to its end.
struct DeviceReservation {
  std::string uuid{};
  Amount amount;

  bool operator==(const DeviceReservation&) const = default;
};

/// What a pod holds of a node; each GPU once.
struct Reservation {
  std::vector<DeviceReservation> devices{};
  Isolation isolation = Isolation::kShared;
  std::int64_t cpu_milli = 0;

  bool operator==(const Reservation&) const = default;
};

/// Kubernetes' rule for each GPU and each dimension: the larger of (app containers + sidecars) and,
/// for each init container, (it + the sidecars that were started before it). CPU is no part of a
/// placement: none is reserved.
Reservation ReservationOf(const Placement& placement, Isolation isolation);
/// The same with the CPU of `request`.
Reservation ReservationOf(const Placement& placement, const PodRequest& request);

/// Adds to what is used. Returns how many of the GPUs the node does not have; those are left out.
std::size_t Reserve(NodeInfo& node, const Reservation& reservation);
/// Undoes Reserve exactly. REQUIRES: the same reservation was reserved on a node with the same
/// GPUs.
void Release(NodeInfo& node, const Reservation& reservation);

}  // namespace tessera::binpack
