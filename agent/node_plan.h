#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/contract/inventory.h"

/// What must be written on the node so that it says what exists. Pure.
namespace tessera::agent {

/// What the node says now.
struct NodeView {
  std::string inventory;                        ///< annotation; empty if there is none
  std::map<std::string, std::string> capacity;  ///< our resources only, quantities as written

  bool operator==(const NodeView&) const = default;
};

/// The totals that kube-scheduler's own cache, ResourceQuota and preemption see: healthy GPUs only.
/// tessera.dev/gpu counts shares: 100 of each GPU, because up to that many containers may use one.
std::map<std::string, std::int64_t> CapacityOf(const contract::Inventory& inventory);

/// True for the resources that CapacityOf speaks of.
bool IsCapacityResource(std::string_view name);

/// Merge patches, only for what differs.
struct NodePatches {
  std::optional<std::string> metadata;  ///< for nodes/NAME
  std::optional<std::string> status;    ///< for nodes/NAME/status

  bool empty() const { return !metadata && !status; }
};

NodePatches PlanNode(const NodeView& node, const contract::Inventory& inventory);

}  // namespace tessera::agent
