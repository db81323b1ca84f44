#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "binpack/gpu_preference.h"
#include "binpack/node.h"
#include "binpack/reservation.h"
#include "binpack/types.h"

namespace tessera::binpack {

/// A pod that holds GPUs of a node, as a preemption sees it.
struct Tenant {
  std::string uid{};
  Reservation reservation{};
  std::int32_t priority = 0;  ///< Kubernetes' spec.priority
  std::int64_t started = 0;   ///< seconds; among equals in priority the younger goes first
  bool evictable = false;     ///< false: it stays, whatever its priority
  bool terminating = false;   ///< its GPUs come free anyway
};

/// Who must go so that a pod fits on a node.
struct Eviction {
  std::vector<std::string> victims{};  ///< uids, the most important first
  Placement placement{};               ///< of the pod once they are gone
};

/// Which of the tenants of `node` must go for a pod of `priority` that asks for `request`: only
/// evictable ones of lower priority, none whose GPUs are not needed (each one left in place would
/// leave the pod without room), and among such sets one with a low rank: by the highest priority in
/// it, then by the sum, then by the number. Nothing if the pod does not fit even so. Terminating
/// tenants count as gone and are no victims. No victims: it fits as it is.
///
/// REQUIRES: every tenant's reservation is reserved on `node`, each uid once.
std::optional<Eviction> FindEviction(const NodeInfo& node, std::span<const Tenant> tenants,
                                     const PodRequest& request, std::int32_t priority,
                                     const GpuPreference* preference = nullptr);

/// The rank of a set of victims by their priorities, lower is better: as kube-scheduler ranks
/// nodes, by the highest priority, then by the sum (where every victim adds), then by the number.
struct EvictionRank {
  std::int32_t highest = INT32_MIN;
  std::int64_t sum = 0;
  std::size_t count = 0;

  void Add(std::int32_t priority);
  auto operator<=>(const EvictionRank&) const = default;
};

}  // namespace tessera::binpack
