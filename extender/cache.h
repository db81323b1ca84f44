#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "binpack/evict.h"
#include "binpack/fragmentation.h"
#include "binpack/gpu_preference.h"
#include "binpack/types.h"
#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/thread_annotations.h"
#include "common/contract/assignment.h"
#include "common/contract/inventory.h"
#include "extender/importance.h"
#include "extender/node_entry.h"
#include "extender/snapshot.h"
#include "extender/snapshot_maker.h"

namespace tessera::extender {

/// What is placed where: rebuilt from the API server at start, ahead of it by the binds in flight.
///
///             Hold (filter)             AssumePod (bind)            AddPod (watch: bound)
///   unknown ───────────────▶ held ─────────────────────▶ assumed ───────────────────────▶ bound
///      ▲  ▲   time limit,     │                             │ ForgetPod: the write failed    │
///      │  └── Drop, Hold ─────┘                             │ AbandonPod, RemovePod          │
///      └────────────────────────────────────────────────────┴──── RemovePod: gone, ended ────┘
///   AddPod leads from every state to bound; AssumePod leads from unknown to assumed as well.
///   Nominate (preempt) leads from unknown or held to held, until the nomination ends.
///
/// A held pod is counted by other pods' filters, but never keeps another pod's bind from a GPU. An
/// assumed pod stays until the watch or ForgetPod speaks: never by time, since its write may have
/// arrived. One that was created, bound and deleted while nobody watched is found missing by the
/// next list: BeginList, EndList. Every call may be repeated. Thread-safe.
class Cache {
 public:
  struct Options {
    std::chrono::milliseconds hold_time{10000};               ///< time limit of a hold
    binpack::Workload workload = binpack::DefaultWorkload();  ///< of the metrics
    /// Which GPUs a pod takes wherever the cache chooses; asked under the cache's lock. Empty: the
    /// tightest.
    std::function<std::shared_ptr<const binpack::GpuPreference>()> preference{};
  };
  /// `clock` must outlive this.
  Cache(const Clock& clock, Options options);

  /// A node, with what its agent told: nothing (no agent yet), an inventory, or one that cannot be
  /// read; and with its CPU for pods, if it tells.
  void SetNode(const std::string& name, const std::optional<Result<contract::Inventory>>& inventory,
               std::optional<std::int64_t> cpu_milli = std::nullopt);
  void RemoveNode(const std::string& name);
  /// CPU of all pods on the node that AddPod is not told of; the node may be unknown yet.
  void SetOtherCpu(const std::string& node, std::int64_t cpu_milli);

  /// A bound pod that has not ended. An unreadable assignment closes the node until the pod is
  /// gone.
  void AddPod(const std::string& uid, const std::string& node,
              const Result<contract::Assignment>& assignment, std::int64_t cpu_milli = 0,
              const Importance& importance = {});
  /// A pod that is gone or has ended.
  void RemovePod(const std::string& uid);

  /// Holds GPUs of the first of `nodes` where the pod fits, after giving up what it held before.
  /// Returns the node, or nothing. A pod that is assumed or bound holds nothing more; one that fits
  /// nowhere keeps what it is nominated to.
  std::optional<std::string> Hold(const std::string& uid, const std::vector<std::string>& nodes,
                                  const binpack::PodRequest& request,
                                  std::int32_t priority = kLowestPriority);
  /// Gives up the pod's hold, if it has one that a filter made.
  void Drop(const std::string& uid);

  /// A node as a pod that would preempt there sees it.
  struct Occupancy {
    binpack::NodeInfo node;  ///< without holds that yield to the pod
    std::vector<binpack::Tenant> tenants{};
  };
  /// Nothing if the node is unknown or closed.
  std::optional<Occupancy> OccupancyOf(const std::string& node, const std::string& uid,
                                       std::int32_t priority);
  /// Holds GPUs that others have still to leave for a pod that preempts, against pods of its own
  /// and of lower priority. Ends by Hold, by SeeNomination, and after kNominationTime unless the
  /// API server says until then that the pod is nominated to this node.
  void Nominate(const std::string& uid, const std::string& node, const binpack::PodRequest& request,
                std::int32_t priority, binpack::Placement placement);
  static constexpr std::chrono::seconds kNominationTime{60};
  /// The API server tells of an unbound pod, and the node that it is nominated to; empty: to none.
  void SeeNomination(const std::string& uid, const std::string& node);

  /// What the pod asked for when it was held; nothing if the hold is over.
  std::optional<binpack::PodRequest> HeldRequest(const std::string& uid);
  /// The node that an assumed or bound pod is on.
  std::optional<std::string> NodeOf(const std::string& uid) const;
  /// Gives up an assumed pod whose write nobody heard of again, because the scheduler asks for
  /// another node. False, and nothing done, while an attempt is under way or its write may still
  /// arrive, and where it did arrive.
  bool AbandonPod(const std::string& uid);

  /// Chooses GPUs for the pod and commits them: those it holds on `node` if they still fit, else
  /// others that nobody holds, else others. Begins an attempt, which KeepPod or ForgetPod must end.
  /// A pod that is assumed or bound on this node gets its assignment again. Errors: kConflict (on
  /// another node), kResourceExhausted (does not fit), kNotFound (no such node), kUnavailable (the
  /// node is closed).
  Result<contract::Assignment> AssumePod(const std::string& uid, const std::string& node,
                                         const binpack::PodRequest& request);
  /// What is known of a write that did not fail.
  enum class Write { kArrived, kUnknown };
  /// Ends an attempt whose write arrived, or nobody knows: the pod stays until the watch speaks.
  void KeepPod(const std::string& uid, Write write);
  /// The write of an attempt did not arrive. Undoes AssumePod, unless another attempt is under way
  /// or was kept, or the watch has seen the pod bound.
  void ForgetPod(const std::string& uid);
  /// The API server was seen to hold the pod bound by somebody else's write. Undoes every AssumePod
  /// of it, unless the watch has seen it bound.
  void RejectPod(const std::string& uid);

  /// All pods are about to be listed anew.
  void BeginList();
  /// The list is complete and was told by AddPod and RemovePod. Assumed pods whose attempts had all
  /// ended before BeginList and that are not in `listed` are gone.
  void EndList(const std::unordered_set<std::string>& listed);
  /// True if there are assumed pods that the watch should have told of long ago: time for a list.
  bool WantsList() const;

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
    bool arrived = false;                             ///< a write of ours did
    std::uint64_t kept_in = 0;                        ///< lists begun when it was last kept
    std::chrono::steady_clock::time_point kept_at{};  ///< when it was last kept
    std::uint64_t hold_number = 0;
    Importance importance{};
    bool nominated = false;  ///< held by Nominate
    bool confirmed = false;  ///< and the API server says so too
  };
  struct Deadline {
    std::string uid;
    std::uint64_t hold_number;
  };

  static contract::Assignment MakeAssignment(const std::string& node,
                                             const binpack::PodRequest& request,
                                             binpack::Placement placement);
  /// True while a write of this assumed pod may be on its way.
  bool MayArrive(const Pod& pod) const;
  /// The entry, made if need be; its view will be made anew.
  NodeEntry& Touch(const std::string& node);
  void Insert(const std::string& uid, Pod pod);
  void Erase(const std::string& uid);
  void EndOldHolds();
  /// Never held again, though a filter may still be at work on it.
  void RememberGone(const std::string& uid);
  /// Inserts a hold and sets its time limit.
  void InsertHold(const std::string& uid, Pod pod, std::chrono::milliseconds time);
  std::optional<binpack::Placement> ChooseOn(const binpack::NodeInfo& node,
                                             const binpack::PodRequest& request) const;
  std::optional<binpack::Placement> ChooseFor(const std::string& uid, const NodeEntry& entry,
                                              const binpack::PodRequest& request) const;

  const Clock& clock_;
  const Options options_;
  mutable std::mutex mu_;
  std::unordered_map<std::string, Pod> pods_ TESSERA_GUARDED_BY(mu_);
  std::map<std::string, NodeEntry> nodes_ TESSERA_GUARDED_BY(mu_);
  std::multimap<std::chrono::steady_clock::time_point, Deadline> deadlines_ TESSERA_GUARDED_BY(mu_);
  std::uint64_t hold_number_ TESSERA_GUARDED_BY(mu_) = 0;
  std::unordered_set<std::string> gone_ TESSERA_GUARDED_BY(mu_);  ///< removed in the last minute
  std::deque<std::pair<std::chrono::steady_clock::time_point, std::string>> gone_until_
      TESSERA_GUARDED_BY(mu_);
  std::uint64_t lists_ TESSERA_GUARDED_BY(mu_) = 0;  ///< begun so far
  SnapshotMaker snapshots_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::extender
