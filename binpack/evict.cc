#include "binpack/evict.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "binpack/fit.h"

namespace tessera::binpack {
namespace {

using Tenants = std::vector<const Tenant*>;

bool MoreImportant(const Tenant* a, const Tenant* b) {
  return std::tie(b->priority, a->started, a->uid) < std::tie(a->priority, b->started, b->uid);
}

bool Holds(const Tenant& tenant, std::string_view uuid) {
  return std::any_of(tenant.reservation.devices.begin(), tenant.reservation.devices.end(),
                     [&](const DeviceReservation& held) { return held.uuid == uuid; });
}

EvictionRank RankOf(const Tenants& victims) {
  EvictionRank rank;
  for (const Tenant* victim : victims) rank.Add(victim->priority);
  return rank;
}

/// One node whose evictable tenants are all gone, and who may come back.
class Reprieve {
 public:
  Reprieve(NodeInfo node, const PodRequest& request, const GpuPreference* preference)
      : emptied_(std::move(node)), request_(request), preference_(preference) {}

  std::optional<Placement> Place(const NodeInfo& node) const {
    return FindPlacement(node, request_, preference_);
  }
  const NodeInfo& emptied() const { return emptied_; }

  /// Lets `first` come back, then `then`, each as long as the pod fits. Returns who cannot.
  Tenants Try(const Tenants& first, const Tenants& then) const {
    NodeInfo node = emptied_;
    Tenants victims;
    if (!ReturnAll(node, first)) ReturnEach(node, first, victims);
    ReturnEach(node, then, victims);
    std::sort(victims.begin(), victims.end(), MoreImportant);
    return victims;
  }

 private:
  /// All at once, which is one search instead of many; or none.
  bool ReturnAll(NodeInfo& node, const Tenants& tenants) const {
    NodeInfo full = node;
    for (const Tenant* tenant : tenants) Reserve(full, tenant->reservation);
    if (!Place(full)) return false;
    node = std::move(full);
    return true;
  }
  void ReturnEach(NodeInfo& node, const Tenants& tenants, Tenants& victims) const {
    for (const Tenant* tenant : tenants) {
      Reserve(node, tenant->reservation);
      if (Place(node)) continue;
      Release(node, tenant->reservation);
      victims.push_back(tenant);
    }
  }

  const NodeInfo emptied_;
  const PodRequest& request_;
  const GpuPreference* preference_;
};

/// The GPUs that victims hold, those that are dearest to empty first.
std::vector<std::string> DearestFirst(const Tenants& victims) {
  std::map<std::string, EvictionRank> ranks;
  for (const Tenant* victim : victims) {
    for (const DeviceReservation& held : victim->reservation.devices)
      ranks[held.uuid].Add(victim->priority);
  }
  std::vector<std::string> uuids;
  for (const auto& [uuid, rank] : ranks) uuids.push_back(uuid);
  std::stable_sort(uuids.begin(), uuids.end(),
                   [&](const auto& a, const auto& b) { return ranks.at(b) < ranks.at(a); });
  return uuids;
}

/// Who comes back first: by importance alone; then, for each GPU, all who are not on it; then those
/// on the dearest GPUs.
Tenants BestVictims(const Reprieve& reprieve, const Tenants& candidates) {
  Tenants best = reprieve.Try({}, candidates);
  const auto consider = [&](Tenants victims) {
    if (RankOf(victims) < RankOf(best)) best = std::move(victims);
  };
  const auto uuids = DearestFirst(candidates);
  Tenants by_cost;
  for (const std::string& uuid : uuids) {
    Tenants on;
    Tenants elsewhere;
    for (const Tenant* tenant : candidates)
      (Holds(*tenant, uuid) ? on : elsewhere).push_back(tenant);
    consider(reprieve.Try(elsewhere, on));
    for (const Tenant* tenant : on) {
      if (std::find(by_cost.begin(), by_cost.end(), tenant) == by_cost.end())
        by_cost.push_back(tenant);
    }
  }
  consider(reprieve.Try({}, by_cost));
  return best;
}

}  // namespace

void EvictionRank::Add(std::int32_t priority) {
  highest = std::max(highest, priority);
  sum += std::int64_t{priority} - INT32_MIN + 1;
  ++count;
}

std::optional<Eviction> FindEviction(const NodeInfo& node, std::span<const Tenant> tenants,
                                     const PodRequest& request, std::int32_t priority,
                                     const GpuPreference* preference) {
  NodeInfo settled = node;
  Tenants candidates;
  for (const Tenant& tenant : tenants) {
    if (tenant.terminating) {
      Release(settled, tenant.reservation);
    } else if (tenant.evictable && tenant.priority < priority) {
      candidates.push_back(&tenant);
    }
  }
  if (auto placement = FindPlacement(settled, request, preference)) {
    return Eviction{{}, *std::move(placement)};
  }
  NodeInfo emptied = settled;
  for (const Tenant* tenant : candidates) Release(emptied, tenant->reservation);
  const Reprieve reprieve(std::move(emptied), request, preference);
  if (!reprieve.Place(reprieve.emptied())) return std::nullopt;
  std::sort(candidates.begin(), candidates.end(), MoreImportant);
  const Tenants victims = BestVictims(reprieve, candidates);
  Eviction eviction;
  NodeInfo after = settled;
  for (const Tenant* victim : victims) {
    Release(after, victim->reservation);
    eviction.victims.push_back(victim->uid);
  }
  auto placement = reprieve.Place(after);
  if (!placement) return std::nullopt;  // unreachable: the last search had this very node
  eviction.placement = *std::move(placement);
  return eviction;
}

}  // namespace tessera::binpack
