#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "binpack/fragmentation.h"
#include "binpack/node.h"
#include "binpack/reservation.h"
#include "common/base/result.h"
#include "common/contract/inventory.h"
#include "extender/snapshot.h"

namespace tessera::extender {

/// One node of the cache: its hardware and what is reserved on it by whom. Knows no states of pods
/// but "committed" and "held". One thread only (the cache's lock).
class NodeEntry {
 public:
  /// How a pod's reservation counts.
  enum class Claim { kHeld, kCommitted };

  explicit NodeEntry(std::string name) : name_(std::move(name)) {}

  /// True once the API server has told of the node; pods may be known before.
  bool exists() const { return exists_; }
  bool idle() const {
    return !exists_ && claims_.empty() && unreadable_.empty() && other_cpu_milli_ == 0;
  }

  /// What the node tells of itself; `cpu_milli` is its CPU for pods, nothing if unknown. False:
  /// nothing new.
  bool SetHardware(const std::optional<Result<contract::Inventory>>& inventory,
                   std::optional<std::int64_t> cpu_milli);
  /// CPU of the node's pods that are not added here. True if the view changes, as that of a node
  /// without an inventory does not.
  bool SetOtherCpu(std::int64_t milli);
  void MarkRemoved();
  /// `priority`: of a hold that yields to pods of a higher one.
  void Add(const std::string& uid, Claim claim, const binpack::Reservation& reservation,
           std::int64_t priority = kFirmHold);
  /// A bound pod whose assignment nobody can read.
  void AddUnreadable(const std::string& uid);
  void Remove(const std::string& uid);

  /// The pods that hold something for good.
  std::vector<std::string> Committed() const;
  const binpack::NodeInfo& committed() const { return committed_; }
  const binpack::NodeInfo& held() const { return held_; }
  /// As NodeView::HeldByOthers.
  binpack::NodeInfo HeldByOthers(std::string_view uid,
                                 std::int32_t priority = kLowestPriority) const;
  std::string_view refusal() const;

  bool dirty() const { return view_ == nullptr; }
  /// The view; made anew, with this version, only after a change.
  std::shared_ptr<const NodeView> View(const binpack::Workload& workload, std::uint64_t version);

 private:
  struct Entry {
    Claim claim;
    binpack::Reservation reservation;
    std::int64_t priority;
  };

  void Rebuild();

  std::string name_;
  bool exists_ = false;
  bool bad_inventory_ = false;
  bool has_inventory_ = false;
  std::vector<binpack::GpuDevice> gpus_;
  std::optional<std::int64_t> cpu_milli_;
  std::int64_t other_cpu_milli_ = 0;
  std::map<std::string, Entry> claims_;  ///< by pod
  std::set<std::string> unreadable_;     ///< pods
  binpack::NodeInfo committed_;
  binpack::NodeInfo held_;
  std::shared_ptr<const NodeView> view_;
};

}  // namespace tessera::extender
