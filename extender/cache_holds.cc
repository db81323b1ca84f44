// What pods hold before they are bound: holds of filters, and of preemptions.
#include <utility>

#include "extender/cache.h"

namespace tessera::extender {

using binpack::Placement;
using binpack::PodRequest;

namespace {

/// Longer than any filter takes. uids never come again.
constexpr std::chrono::minutes kGoneTime{1};

}  // namespace

contract::Assignment Cache::MakeAssignment(const std::string& node, const PodRequest& request,
                                           Placement placement) {
  if (request.oversubscribe) {
    for (binpack::ContainerPlacement& container : placement.containers) {
      for (binpack::DeviceShare& share : container.devices) {
        share.host_memory_mib =
            request.host_memory_mib > 0 ? request.host_memory_mib : share.memory_mib;
      }
    }
  }
  return {.node = node,
          .compute_policy = request.compute_policy,
          .isolation = request.isolation,
          .placement = std::move(placement)};
}

void Cache::EndOldHolds() {
  const auto now = clock_.Now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Deadline deadline = std::move(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    const auto found = pods_.find(deadline.uid);
    if (found == pods_.end() || found->second.state != State::kHeld) continue;
    const Pod& pod = found->second;
    if (pod.hold_number == deadline.hold_number && !pod.confirmed) Erase(deadline.uid);
  }
}

void Cache::RememberGone(const std::string& uid) {
  const auto now = clock_.Now();
  while (!gone_until_.empty() && gone_until_.front().first <= now) {
    gone_.erase(gone_until_.front().second);
    gone_until_.pop_front();
  }
  if (gone_.insert(uid).second) gone_until_.emplace_back(now + kGoneTime, uid);
}

void Cache::InsertHold(const std::string& uid, Pod pod, std::chrono::milliseconds time) {
  pod.hold_number = ++hold_number_;
  deadlines_.emplace(clock_.Now() + time, Deadline{uid, pod.hold_number});
  Insert(uid, std::move(pod));
}

std::optional<std::string> Cache::Hold(const std::string& uid,
                                       const std::vector<std::string>& nodes,
                                       const PodRequest& request, std::int32_t priority) {
  const std::lock_guard lock(mu_);
  EndOldHolds();
  const auto known = pods_.find(uid);
  if (known != pods_.end() && known->second.state != State::kHeld) return std::nullopt;
  if (gone_.contains(uid)) return std::nullopt;
  for (const std::string& name : nodes) {
    const auto entry = nodes_.find(name);
    if (entry == nodes_.end() || !entry->second.refusal().empty()) continue;
    auto placement = ChooseOn(entry->second.HeldByOthers(uid, priority), request);
    if (!placement) continue;
    Pod pod{.node = name,
            .assignment = MakeAssignment(name, request, *std::move(placement)),
            .request = request};
    pod.reservation = binpack::ReservationOf(pod.assignment->placement, request);
    InsertHold(uid, std::move(pod), options_.hold_time);
    return name;
  }
  if (known != pods_.end() && !known->second.nominated) Erase(uid);
  return std::nullopt;
}

void Cache::Drop(const std::string& uid) {
  const std::lock_guard lock(mu_);
  const auto known = pods_.find(uid);
  if (known == pods_.end() || known->second.nominated) return;
  if (known->second.state == State::kHeld) Erase(uid);
}

std::optional<PodRequest> Cache::HeldRequest(const std::string& uid) {
  const std::lock_guard lock(mu_);
  EndOldHolds();
  const auto known = pods_.find(uid);
  if (known == pods_.end() || known->second.state != State::kHeld) return std::nullopt;
  return known->second.request;
}

std::optional<Cache::Occupancy> Cache::OccupancyOf(const std::string& node, const std::string& uid,
                                                   std::int32_t priority) {
  const std::lock_guard lock(mu_);
  EndOldHolds();
  const auto entry = nodes_.find(node);
  if (entry == nodes_.end() || !entry->second.refusal().empty()) return std::nullopt;
  Occupancy occupancy{.node = entry->second.HeldByOthers(uid, priority)};
  for (const std::string& tenant : entry->second.Committed()) {
    const Pod& pod = pods_.at(tenant);
    // kube-scheduler may not have heard yet of a pod whose bind is under way.
    occupancy.tenants.push_back({.uid = tenant,
                                 .reservation = pod.reservation,
                                 .priority = pod.importance.priority,
                                 .started = pod.importance.started,
                                 .evictable = pod.state == State::kBound,
                                 .terminating = pod.importance.terminating});
  }
  return occupancy;
}

void Cache::Nominate(const std::string& uid, const std::string& node, const PodRequest& request,
                     std::int32_t priority, Placement placement) {
  const std::lock_guard lock(mu_);
  EndOldHolds();
  const auto known = pods_.find(uid);
  if (known != pods_.end() && known->second.state != State::kHeld) return;
  if (!nodes_.contains(node) || gone_.contains(uid)) return;
  Pod pod{.node = node,
          .assignment = MakeAssignment(node, request, std::move(placement)),
          .request = request,
          .importance = {.priority = priority},
          .nominated = true};
  pod.reservation = binpack::ReservationOf(pod.assignment->placement, request);
  InsertHold(uid, std::move(pod), kNominationTime);
}

void Cache::SeeNomination(const std::string& uid, const std::string& node) {
  const std::lock_guard lock(mu_);
  const auto known = pods_.find(uid);
  if (known == pods_.end() || !known->second.nominated) return;
  Pod& pod = known->second;
  if (pod.node == node) {
    pod.confirmed = true;
  } else if (pod.confirmed) {  // before that, what is told may be older than the nomination
    Erase(uid);
  }
}

}  // namespace tessera::extender
