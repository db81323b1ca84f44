#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "binpack/fragmentation.h"
#include "binpack/node.h"
#include "binpack/reservation.h"

namespace tessera::extender {

inline constexpr std::int32_t kLowestPriority = std::numeric_limits<std::int32_t>::min();
/// Of a hold that counts whatever the priority of who asks.
inline constexpr std::int64_t kFirmHold = std::int64_t{1} << 32;

/// A reservation that a filter or a preemption made and no bind has confirmed.
struct TentativeHold {
  std::string pod;  ///< its uid
  binpack::Reservation reservation;
  std::int64_t priority = kFirmHold;  ///< pods of a higher one do not count it
};

/// One node at one moment. Immutable, so any thread may read it.
struct NodeView {
  std::string name{};
  std::uint64_t version = 0;  ///< positive; no other view of any node has it
  /// Not empty: nothing may be placed here, and why. One of the constants below.
  std::string_view refusal{};
  binpack::NodeInfo committed{};  ///< bound and assumed pods
  binpack::NodeInfo held{};       ///< committed and tentative holds: what a filter sees
  std::vector<TentativeHold> holds{};
  binpack::Fragmentation fragmentation{};  ///< of committed
  int pods = 0;                            ///< bound and assumed
  bool over_committed = false;             ///< more is committed on some GPU than it has

  /// True if a pod with this uid and priority does not count the hold: its own, or one that yields.
  static bool Yields(const TentativeHold& hold, std::string_view pod, std::int32_t priority) {
    return hold.pod == pod || hold.priority < priority;
  }
  /// `held` without the holds that yield to `pod`.
  binpack::NodeInfo HeldByOthers(std::string_view pod,
                                 std::int32_t priority = kLowestPriority) const;
};

/// All nodes at one moment, numbered from 0. Immutable. Blocks of nodes that did not change are
/// shared with the snapshot before, so a change costs little however many nodes there are.
class Snapshot {
 public:
  /// A view, and beside it what is asked of it most.
  struct Node {
    Node() = default;
    explicit Node(std::shared_ptr<const NodeView> of)
        : view(std::move(of)), version(view->version), has_holds(!view->holds.empty()) {}

    std::shared_ptr<const NodeView> view{};
    std::uint64_t version = 0;
    bool has_holds = false;
  };
  static constexpr std::size_t kBlock = 128;
  using Block = std::array<Node, kBlock>;
  using Blocks = std::vector<std::shared_ptr<const Block>>;
  using Index = std::unordered_map<std::string, std::size_t>;

  /// `index` has the numbers of all nodes in `blocks`.
  Snapshot(std::uint64_t generation, std::shared_ptr<const Index> index, Blocks blocks)
      : generation_(generation), index_(std::move(index)), blocks_(std::move(blocks)) {}

  /// Grows with every change of any node.
  std::uint64_t generation() const { return generation_; }
  std::size_t size() const { return index_->size(); }
  const Node& node(std::size_t number) const {
    return (*blocks_[number / kBlock])[number % kBlock];
  }
  const NodeView& view(std::size_t number) const { return *node(number).view; }
  const Blocks& blocks() const { return blocks_; }
  /// Nothing if there is no such node.
  std::optional<std::size_t> NumberOf(const std::string& name) const;
  /// Null if there is no such node.
  const NodeView* Find(const std::string& name) const;

 private:
  std::uint64_t generation_;
  std::shared_ptr<const Index> index_;
  Blocks blocks_;
};

/// Why nothing may be placed on a node, whatever is asked for.
inline constexpr std::string_view kRefusalUnknownAssignment =
    "a pod's GPU assignment on the node cannot be read";
inline constexpr std::string_view kRefusalBadInventory = "the node's GPU inventory cannot be read";
inline constexpr std::string_view kRefusalNoInventory = "the node has no GPU inventory";

}  // namespace tessera::extender
