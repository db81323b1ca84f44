#include "extender/cache.h"

#include <algorithm>
#include <utility>

#include "binpack/fit.h"

namespace tessera::extender {
namespace {

/// An API server gives up a request after one minute; the rest is for the way to it.
constexpr std::chrono::seconds kLateWrite{75};

using binpack::NodeInfo;
using binpack::Placement;
using binpack::PodRequest;
using contract::Assignment;

/// True if the GPUs are there, take pods of its isolation, and have room for the reservation.
bool StillFits(const NodeInfo& node, const binpack::Reservation& reservation) {
  return std::all_of(reservation.devices.begin(), reservation.devices.end(), [&](const auto& held) {
    const binpack::DeviceInfo* info = binpack::FindDevice(node, held.uuid);
    const bool mps = reservation.isolation == binpack::Isolation::kMps;
    return info != nullptr && info->device.healthy && (info->device.mps || !mps) &&
           binpack::Within(held.amount, info->free()) &&
           binpack::AdmitsMode(*info, reservation.isolation);
  });
}

}  // namespace

Cache::Cache(const Clock& clock, Options options)
    : clock_(clock), options_(std::move(options)), snapshots_(options_.workload) {}

NodeEntry& Cache::Touch(const std::string& node) {
  snapshots_.NodeChanged(node);
  return nodes_.try_emplace(node, node).first->second;
}

void Cache::Insert(const std::string& uid, Pod pod) {
  Erase(uid);
  NodeEntry& entry = Touch(pod.node);
  if (pod.assignment) {
    entry.Add(uid,
              pod.state == State::kHeld ? NodeEntry::Claim::kHeld : NodeEntry::Claim::kCommitted,
              pod.reservation, pod.nominated ? pod.importance.priority : kFirmHold);
  } else {
    entry.AddUnreadable(uid);
  }
  pods_.emplace(uid, std::move(pod));
}

void Cache::Erase(const std::string& uid) {
  const auto found = pods_.find(uid);
  if (found == pods_.end()) return;
  snapshots_.NodeChanged(found->second.node);
  const auto node = nodes_.find(found->second.node);
  node->second.Remove(uid);
  if (node->second.idle()) nodes_.erase(node);
  pods_.erase(found);
}

void Cache::SetNode(const std::string& name,
                    const std::optional<Result<contract::Inventory>>& inventory,
                    std::optional<std::int64_t> cpu_milli) {
  const std::lock_guard lock(mu_);
  NodeEntry& entry = nodes_.try_emplace(name, name).first->second;
  if (!entry.exists()) snapshots_.NodeSetChanged();
  // Kubelets report every few minutes; what changes nothing makes no snapshot.
  if (entry.SetHardware(inventory, cpu_milli)) snapshots_.NodeChanged(name);
}

void Cache::SetOtherCpu(const std::string& node, std::int64_t cpu_milli) {
  const std::lock_guard lock(mu_);
  const auto entry = nodes_.try_emplace(node, node).first;
  if (entry->second.SetOtherCpu(cpu_milli)) snapshots_.NodeChanged(node);
  if (entry->second.idle()) nodes_.erase(entry);
}

void Cache::RemoveNode(const std::string& name) {
  const std::lock_guard lock(mu_);
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) return;
  snapshots_.NodeSetChanged();
  found->second.MarkRemoved();
  if (found->second.idle()) nodes_.erase(found);
}

void Cache::AddPod(const std::string& uid, const std::string& node,
                   const Result<Assignment>& assignment, std::int64_t cpu_milli,
                   const Importance& importance) {
  const std::lock_guard lock(mu_);
  Pod pod{.state = State::kBound, .node = node, .assignment = assignment};
  pod.importance = importance;
  if (assignment) {
    pod.reservation = binpack::ReservationOf(assignment->placement, assignment->isolation);
    pod.reservation.cpu_milli = cpu_milli;
  }
  const auto known = pods_.find(uid);
  if (known != pods_.end()) {
    const Pod& old = known->second;
    pod.attempts = old.attempts;
    const bool same = old.node == node && old.reservation == pod.reservation &&
                      old.assignment.has_value() == assignment.has_value();
    if (same && old.state != State::kHeld) {
      known->second.state = State::kBound;
      known->second.assignment = assignment;
      known->second.importance = importance;
      return;
    }
  }
  Insert(uid, std::move(pod));
}

void Cache::RemovePod(const std::string& uid) {
  const std::lock_guard lock(mu_);
  Erase(uid);
  RememberGone(uid);
}

std::optional<std::string> Cache::NodeOf(const std::string& uid) const {
  const std::lock_guard lock(mu_);
  const auto known = pods_.find(uid);
  if (known == pods_.end() || known->second.state == State::kHeld) return std::nullopt;
  return known->second.node;
}

std::optional<Placement> Cache::ChooseOn(const NodeInfo& node, const PodRequest& request) const {
  const auto preference = options_.preference ? options_.preference() : nullptr;
  return binpack::FindPlacement(node, request, preference.get());
}

std::optional<Placement> Cache::ChooseFor(const std::string& uid, const NodeEntry& entry,
                                          const PodRequest& request) const {
  const auto known = pods_.find(uid);
  if (known != pods_.end() && known->second.node == entry.committed().name &&
      known->second.request == request && StillFits(entry.committed(), known->second.reservation)) {
    return known->second.assignment->placement;
  }
  auto placement = ChooseOn(entry.HeldByOthers(uid), request);
  return placement ? placement : ChooseOn(entry.committed(), request);
}

Result<Assignment> Cache::AssumePod(const std::string& uid, const std::string& node,
                                    const PodRequest& request) {
  const std::lock_guard lock(mu_);
  EndOldHolds();
  const auto known = pods_.find(uid);
  if (known != pods_.end() && known->second.state != State::kHeld) {
    Pod& pod = known->second;
    if (pod.node != node)
      return Fail(Errc::kConflict, "the pod is on node " + pod.node + " already");
    if (pod.assignment) ++pod.attempts;
    return pod.assignment;
  }
  const auto entry = nodes_.find(node);
  if (entry == nodes_.end() || !entry->second.exists()) {
    return Fail(Errc::kNotFound, "node " + node + " is not known");
  }
  if (!entry->second.refusal().empty()) {
    return Fail(Errc::kUnavailable, "node " + node + ": " + std::string(entry->second.refusal()));
  }
  auto placement = ChooseFor(uid, entry->second, request);
  if (!placement) {
    std::string reasons;
    for (const auto& shortage : binpack::Explain(entry->second.committed(), request)) {
      reasons +=
          (reasons.empty() ? "" : ", ") + std::string(binpack::ReasonText(shortage.shortage));
    }
    return Fail(Errc::kResourceExhausted, "node " + node + " has no room any more: " + reasons);
  }
  Pod pod{.state = State::kAssumed,
          .node = node,
          .assignment = MakeAssignment(node, request, *std::move(placement))};
  pod.reservation = binpack::ReservationOf(pod.assignment->placement, request);
  pod.attempts = 1;
  const Result<Assignment> assignment = pod.assignment;
  Insert(uid, std::move(pod));
  return assignment;
}

void Cache::KeepPod(const std::string& uid, Write write) {
  const std::lock_guard lock(mu_);
  const auto known = pods_.find(uid);
  if (known == pods_.end() || known->second.attempts == 0) return;
  Pod& pod = known->second;
  --pod.attempts;
  pod.kept = true;
  pod.arrived = pod.arrived || write == Write::kArrived;
  pod.kept_in = lists_;
  pod.kept_at = clock_.Now();
}

void Cache::ForgetPod(const std::string& uid) {
  const std::lock_guard lock(mu_);
  const auto known = pods_.find(uid);
  if (known == pods_.end()) return;
  Pod& pod = known->second;
  pod.attempts = std::max(0, pod.attempts - 1);
  if (pod.state == State::kAssumed && pod.attempts == 0 && !pod.kept) Erase(uid);
}

void Cache::RejectPod(const std::string& uid) {
  const std::lock_guard lock(mu_);
  const auto known = pods_.find(uid);
  if (known == pods_.end()) return;
  known->second.attempts = std::max(0, known->second.attempts - 1);
  if (known->second.state == State::kAssumed) Erase(uid);
}

bool Cache::MayArrive(const Pod& pod) const {
  return pod.attempts > 0 || (pod.kept && clock_.Now() < pod.kept_at + kLateWrite);
}

bool Cache::AbandonPod(const std::string& uid) {
  const std::lock_guard lock(mu_);
  const auto known = pods_.find(uid);
  if (known == pods_.end()) return true;
  const Pod& pod = known->second;
  if (pod.state == State::kBound || pod.arrived || MayArrive(pod)) return false;
  Erase(uid);
  return true;
}

void Cache::BeginList() {
  const std::lock_guard lock(mu_);
  ++lists_;
}

void Cache::EndList(const std::unordered_set<std::string>& listed) {
  const std::lock_guard lock(mu_);
  std::vector<std::string> gone;
  for (const auto& [uid, pod] : pods_) {
    const bool settled = pod.attempts == 0 && pod.kept_in < lists_;
    if (pod.state == State::kAssumed && settled && !listed.contains(uid)) gone.push_back(uid);
  }
  for (const std::string& uid : gone) Erase(uid);
}

bool Cache::WantsList() const {
  const std::lock_guard lock(mu_);
  return std::any_of(pods_.begin(), pods_.end(), [&](const auto& entry) {
    return entry.second.state == State::kAssumed && !MayArrive(entry.second);
  });
}

std::shared_ptr<const Snapshot> Cache::UpdateSnapshot() {
  const std::lock_guard lock(mu_);
  EndOldHolds();
  return snapshots_.Make(nodes_);
}

}  // namespace tessera::extender
