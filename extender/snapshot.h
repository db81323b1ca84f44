#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "binpack/fragmentation.h"
#include "binpack/node.h"
#include "binpack/reservation.h"

namespace tessera::extender {

/// A reservation that a filter made and no bind has confirmed.
struct TentativeHold {
  std::string pod;  ///< its uid
  binpack::Reservation reservation;
};

/// One node at one moment. Immutable, so any thread may read it.
struct NodeView {
  std::string name{};
  /// Not empty: nothing may be placed here, and why. One of the constants below.
  std::string_view refusal{};
  binpack::NodeInfo committed{};  ///< bound and assumed pods
  binpack::NodeInfo held{};       ///< committed and tentative holds: what a filter sees
  std::vector<TentativeHold> holds{};
  binpack::Fragmentation fragmentation{};  ///< of committed
  int pods = 0;                            ///< bound and assumed
  bool over_committed = false;             ///< more is committed on some GPU than it has

  /// `held` without what `pod` holds itself.
  binpack::NodeInfo HeldByOthers(std::string_view pod) const;
};

/// All nodes at one moment. Immutable. Nodes that did not change are shared with the snapshot
/// before.
class Snapshot {
 public:
  using Index = std::unordered_map<std::string, std::size_t>;

  Snapshot(std::uint64_t generation, std::shared_ptr<const Index> index,
           std::vector<std::shared_ptr<const NodeView>> nodes)
      : generation_(generation), index_(std::move(index)), nodes_(std::move(nodes)) {}

  /// Grows with every change of any node.
  std::uint64_t generation() const { return generation_; }
  const std::vector<std::shared_ptr<const NodeView>>& nodes() const { return nodes_; }
  /// Null if there is no such node.
  const NodeView* Find(const std::string& name) const;

 private:
  std::uint64_t generation_;
  std::shared_ptr<const Index> index_;
  std::vector<std::shared_ptr<const NodeView>> nodes_;
};

/// Why nothing may be placed on a node, whatever is asked for.
inline constexpr std::string_view kRefusalUnknownAssignment =
    "a pod's GPU assignment on the node cannot be read";
inline constexpr std::string_view kRefusalBadInventory = "the node's GPU inventory cannot be read";
inline constexpr std::string_view kRefusalNoInventory = "the node has no GPU inventory";

}  // namespace tessera::extender
