#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "agent/node_plan.h"
#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "common/kube/client.h"

namespace tessera::agent {

/// Keeps the node's inventory annotation and capacity equal to the hardware.
///
/// Level-triggered: what counts is what the node says, as the watch told it last, never what was
/// once written. When the two seem to differ the node is read again, and only a difference that is
/// still there is written, so a slow watch causes no second write. A failed write is tried again
/// after a growing pause, and so is one that is undone or overtaken again and again: two writers
/// that fight must not requeue every pending pod of the cluster four times a second. Thread-safe.
class NodePublisher {
 public:
  static constexpr std::chrono::seconds kFirstPause{1};
  static constexpr std::chrono::seconds kLongestPause{30};
  /// So many writes may follow each other at once; after a calm of that length anew.
  static constexpr int kAtOnce = 4;
  static constexpr std::chrono::seconds kCalm{60};

  /// `client` and `clock` must outlive the publisher.
  NodePublisher(kube::Client& client, std::string node_name, const Clock& clock);

  void SetInventory(contract::Inventory inventory);  ///< what exists
  void Observe(NodeView node);                       ///< what the watch says
  /// The watch says that there is no such node.
  void ObserveGone();

  /// Writes what is due. Returns the number of writes, or why one failed (it will be tried again).
  /// Nothing is asked of the API server while nothing has changed.
  Result<int> Reconcile();

  /// Why the node does not say yet what exists; empty if it does. For readyz.
  std::string NotPublishedReason() const;

 private:
  struct Work {
    contract::Inventory inventory;
  };
  std::optional<Work> TakeWork();
  Result<int> Write(const Work& work);
  void Settle(const Result<int>& result);
  void PauseAfterWrite();  ///< REQUIRES: mu_ held
  std::string Path() const { return "/api/v1/nodes/" + node_name_; }

  kube::Client& client_;
  const std::string node_name_;
  const Clock& clock_;

  mutable std::mutex mu_;
  std::optional<contract::Inventory> wanted_ TESSERA_GUARDED_BY(mu_);
  std::optional<NodeView> seen_ TESSERA_GUARDED_BY(mu_);
  bool dirty_ TESSERA_GUARDED_BY(mu_) = false;
  std::chrono::steady_clock::time_point not_before_ TESSERA_GUARDED_BY(mu_);
  std::chrono::seconds pause_ TESSERA_GUARDED_BY(mu_){0};
  std::chrono::seconds calming_ TESSERA_GUARDED_BY(mu_){0};  ///< pause after the last write
  int in_a_row_ TESSERA_GUARDED_BY(mu_) = 0;                 ///< writes without a calm
  std::optional<std::chrono::steady_clock::time_point> written_ TESSERA_GUARDED_BY(mu_);
  std::string problem_ TESSERA_GUARDED_BY(mu_) = "nothing was written yet";
};

}  // namespace tessera::agent
