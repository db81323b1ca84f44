#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "binpack/fragmentation.h"
#include "binpack/types.h"
#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/thread_annotations.h"
#include "common/contract/assignment.h"
#include "common/contract/inventory.h"
#include "extender/node_entry.h"
#include "extender/snapshot.h"

namespace tessera::extender {

/// What is placed where: rebuilt from the API server at start, ahead of it by the binds in flight.
///
///             Hold (filter)             AssumePod (bind)            AddPod (watch: bound)
///   unknown ───────────────▶ held ─────────────────────▶ assumed ───────────────────────▶ bound
///      ▲  ▲   time limit,     │                             │ ForgetPod: the write failed    │
///      │  └── Drop, Hold ─────┘                             │ AbandonPod, RemovePod          │
///      └────────────────────────────────────────────────────┴──── RemovePod: gone, ended ────┘
///   AddPod leads from every state to bound; AssumePod leads from unknown to assumed as well.
///
/// A held pod is counted by other pods' filters, but never keeps another pod's bind from a GPU. An
/// assumed pod stays until the watch or ForgetPod speaks: never by time, since its write may have
/// arrived. Every call may be repeated. Thread-safe.
class Cache {
 public:
  struct Options {
    std::chrono::milliseconds hold_time{10000};  ///< time limit of a hold
    binpack::Workload workload = binpack::DefaultWorkload();
  };
  /// `clock` must outlive this.
  Cache(const Clock& clock, Options options);

  /// A node, with what its agent told: nothing (no agent yet), an inventory, or one that cannot be
  /// read.
  void SetNode(const std::string& name,
               const std::optional<Result<contract::Inventory>>& inventory);
  void RemoveNode(const std::string& name);

  /// A bound pod that has not ended. An unreadable assignment closes the node until the pod is
  /// gone.
  void AddPod(const std::string& uid, const std::string& node,
              const Result<contract::Assignment>& assignment);
  /// A pod that is gone or has ended.
  void RemovePod(const std::string& uid);

  /// Holds GPUs of the first of `nodes` where the pod fits, after giving up what it held before.
  /// Returns the node, or nothing. A pod that is assumed or bound holds nothing more.
  std::optional<std::string> Hold(const std::string& uid, const std::vector<std::string>& nodes,
                                  const binpack::PodRequest& request);
  /// Gives up the pod's hold, if it has one.
  void Drop(const std::string& uid);
  /// What the pod asked for when it was held; nothing if the hold is over.
  std::optional<binpack::PodRequest> HeldRequest(const std::string& uid);
  /// The node that an assumed or bound pod is on.
  std::optional<std::string> NodeOf(const std::string& uid) const;
  /// Gives up an assumed pod whose write nobody heard of again, because the scheduler asks for
  /// another node. False, and nothing done, while an attempt is under way or the watch has seen it
  /// bound.
  bool AbandonPod(const std::string& uid);

  /// Chooses GPUs for the pod and commits them: those it holds on `node` if they still fit, else
  /// others that nobody holds, else others. Begins an attempt, which KeepPod or ForgetPod must end.
  /// A pod that is assumed or bound on this node gets its assignment again. Errors: kConflict (on
  /// another node), kResourceExhausted (does not fit), kNotFound (no such node), kUnavailable (the
  /// node is closed).
  Result<contract::Assignment> AssumePod(const std::string& uid, const std::string& node,
                                         const binpack::PodRequest& request);
  /// The write of an attempt arrived, or nobody knows: the pod stays until the watch speaks.
  void KeepPod(const std::string& uid);
  /// The write of an attempt did not arrive. Undoes AssumePod, unless another attempt is under way
  /// or was kept, or the watch has seen the pod bound.
  void ForgetPod(const std::string& uid);

  /// The state now; the same object while nothing changes. Ends holds whose time is over.
  std::shared_ptr<const Snapshot> UpdateSnapshot();

 private:
  enum class State { kHeld, kAssumed, kBound };
  struct Pod {
    State state = State::kHeld;
    std::string node{};
    Result<contract::Assignment> assignment{};
    binpack::PodRequest request{};  ///< of a held pod
    binpack::Reservation reservation{};
    int attempts = 0;  ///< binds under way
    bool kept = false;
    std::uint64_t hold_number = 0;
  };
  struct Deadline {
    std::chrono::steady_clock::time_point at;
    std::string uid;
    std::uint64_t hold_number;
  };

  /// The entry, made if need be; its view will be made anew.
  NodeEntry& Touch(const std::string& node);
  void Insert(const std::string& uid, Pod pod);
  void Erase(const std::string& uid);
  void EndOldHolds();
  std::shared_ptr<const NodeView> ViewOf(NodeEntry& entry);
  void RebuildAll(std::vector<std::shared_ptr<const NodeView>>& views);
  std::optional<binpack::Placement> ChooseFor(const std::string& uid, const NodeEntry& entry,
                                              const binpack::PodRequest& request) const;

  const Clock& clock_;
  const Options options_;
  mutable std::mutex mu_;
  std::unordered_map<std::string, Pod> pods_ TESSERA_GUARDED_BY(mu_);
  std::map<std::string, NodeEntry> nodes_ TESSERA_GUARDED_BY(mu_);
  std::deque<Deadline> deadlines_ TESSERA_GUARDED_BY(mu_);  ///< in order of time
  std::uint64_t hold_number_ TESSERA_GUARDED_BY(mu_) = 0;
  std::vector<std::string> changed_ TESSERA_GUARDED_BY(mu_);  ///< nodes, since the last snapshot
  bool node_set_changed_ TESSERA_GUARDED_BY(mu_) = true;
  std::shared_ptr<const Snapshot::Index> index_ TESSERA_GUARDED_BY(mu_);
  std::shared_ptr<const Snapshot> snapshot_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::extender
