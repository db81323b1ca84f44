#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "binpack/fragmentation.h"
#include "extender/node_entry.h"
#include "extender/snapshot.h"

namespace tessera::extender {

/// Makes snapshots of a set of nodes, each from the one before and what has changed since. One
/// thread only (the cache's lock).
class SnapshotMaker {
 public:
  using Nodes = std::map<std::string, NodeEntry>;

  /// `workload`: what fragmentation is measured against.
  explicit SnapshotMaker(binpack::Workload workload) : workload_(std::move(workload)) {}

  void NodeChanged(const std::string& node) { changed_.insert(node); }
  /// A node has come or gone.
  void NodeSetChanged() { node_set_changed_ = true; }
  /// The state of all nodes that exist; the same object while nothing changes.
  std::shared_ptr<const Snapshot> Make(Nodes& nodes);

 private:
  Snapshot::Node NodeOf(NodeEntry& entry);
  Snapshot::Blocks MakeAll(Nodes& nodes);
  Snapshot::Blocks MakeChanged(Nodes& nodes);

  const binpack::Workload workload_;
  std::uint64_t version_ = 0;  ///< of the view made last
  /// Nodes, since the last snapshot: a set, because a standby makes none for weeks.
  std::unordered_set<std::string> changed_;
  bool node_set_changed_ = true;
  std::shared_ptr<const Snapshot::Index> index_;
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace tessera::extender
