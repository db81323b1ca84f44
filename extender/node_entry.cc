#include "extender/node_entry.h"

#include <algorithm>

namespace tessera::extender {

using binpack::NodeInfo;
using binpack::Release;
using binpack::Reserve;

bool NodeEntry::SetHardware(const std::optional<Result<contract::Inventory>>& inventory,
                            std::optional<std::int64_t> cpu_milli) {
  const bool bad = inventory && !*inventory;
  const bool has = inventory && *inventory;
  std::vector<binpack::GpuDevice> gpus =
      has ? (*inventory)->gpus : std::vector<binpack::GpuDevice>{};
  if (exists_ && bad == bad_inventory_ && has == has_inventory_ && gpus == gpus_ &&
      cpu_milli == cpu_milli_) {
    return false;
  }
  exists_ = true;
  bad_inventory_ = bad;
  has_inventory_ = has;
  gpus_ = std::move(gpus);
  cpu_milli_ = cpu_milli;
  Rebuild();
  return true;
}

bool NodeEntry::SetOtherCpu(std::int64_t milli) {
  if (milli == other_cpu_milli_) return false;
  committed_.cpu_used_milli += milli - other_cpu_milli_;
  held_.cpu_used_milli += milli - other_cpu_milli_;
  other_cpu_milli_ = milli;
  if (!has_inventory_) return false;
  view_ = nullptr;
  return true;
}

void NodeEntry::MarkRemoved() {
  exists_ = false;
  has_inventory_ = false;
  bad_inventory_ = false;
  gpus_.clear();
  cpu_milli_.reset();
  Rebuild();
}

void NodeEntry::Add(const std::string& uid, Claim claim, const binpack::Reservation& reservation,
                    std::int64_t priority) {
  Remove(uid);
  claims_.emplace(uid, Entry{claim, reservation, priority});
  Reserve(held_, reservation);
  if (claim == Claim::kCommitted) Reserve(committed_, reservation);
  view_ = nullptr;
}

void NodeEntry::AddUnreadable(const std::string& uid) {
  Remove(uid);
  unreadable_.insert(uid);
  view_ = nullptr;
}

void NodeEntry::Remove(const std::string& uid) {
  if (unreadable_.erase(uid) > 0) view_ = nullptr;
  const auto found = claims_.find(uid);
  if (found == claims_.end()) return;
  Release(held_, found->second.reservation);
  if (found->second.claim == Claim::kCommitted) Release(committed_, found->second.reservation);
  claims_.erase(found);
  view_ = nullptr;
}

NodeInfo NodeEntry::HeldByOthers(std::string_view uid, std::int32_t priority) const {
  NodeInfo node = held_;
  for (const auto& [pod, entry] : claims_) {
    if (entry.claim != Claim::kHeld) continue;
    if (NodeView::Yields({pod, {}, entry.priority}, uid, priority))
      Release(node, entry.reservation);
  }
  return node;
}

std::vector<std::string> NodeEntry::Committed() const {
  std::vector<std::string> pods;
  for (const auto& [pod, entry] : claims_) {
    if (entry.claim == Claim::kCommitted) pods.push_back(pod);
  }
  return pods;
}

std::string_view NodeEntry::refusal() const {
  if (!unreadable_.empty()) return kRefusalUnknownAssignment;
  if (bad_inventory_) return kRefusalBadInventory;
  if (!has_inventory_) return kRefusalNoInventory;
  return {};
}

void NodeEntry::Rebuild() {
  committed_ = binpack::MakeNode(name_, gpus_);
  committed_.cpu_milli = cpu_milli_;
  committed_.cpu_used_milli = other_cpu_milli_;
  held_ = committed_;
  for (const auto& [uid, entry] : claims_) {
    Reserve(held_, entry.reservation);
    if (entry.claim == Claim::kCommitted) Reserve(committed_, entry.reservation);
  }
  view_ = nullptr;
}

std::shared_ptr<const NodeView> NodeEntry::View(const binpack::Workload& workload,
                                                std::uint64_t version) {
  if (view_ != nullptr) return view_;
  auto view = std::make_shared<NodeView>();
  view->name = name_;
  view->version = version;
  view->refusal = refusal();
  view->committed = committed_;
  view->held = held_;
  view->pods = static_cast<int>(unreadable_.size());
  for (const auto& [uid, entry] : claims_) {
    if (entry.claim == Claim::kHeld)
      view->holds.push_back({uid, entry.reservation, entry.priority});
    view->pods += entry.claim == Claim::kCommitted ? 1 : 0;
  }
  view->fragmentation = binpack::Measure(binpack::RestsOf(committed_), workload);
  view->over_committed = std::any_of(
      committed_.devices.begin(), committed_.devices.end(),
      [](const binpack::DeviceInfo& info) { return !binpack::Within(info.used, info.capacity()); });
  view_ = std::move(view);
  return view_;
}

}  // namespace tessera::extender
