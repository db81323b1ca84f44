#pragma once

#include <functional>
#include <string>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "agent/nvml.h"
#include "agent/pod.h"
#include "agent/usage.h"
#include "common/contract/inventory.h"

namespace tessera::agent {

/// Everything that the agent's series are made from, at one moment.
struct NodeState {
  std::string node;
  contract::Inventory inventory;
  NvmlReading reading;  ///< the last that worked; empty before the first
  bool nvml_up = false;
  std::vector<Pod> pods;
  std::vector<ContainerUsage> containers;
};

/// The agent's metric families; README.md lists them. Pure. A series exists as long as its GPU or
/// pod does, and no two have equal labels whatever the input is.
std::vector<prometheus::MetricFamily> BuildFamilies(const NodeState& state);

/// Reads the state on each scrape. Thread-safe if `read` is.
class NodeCollector final : public prometheus::Collectable {
 public:
  explicit NodeCollector(std::function<NodeState()> read) : read_(std::move(read)) {}
  std::vector<prometheus::MetricFamily> Collect() const override { return BuildFamilies(read_()); }

 private:
  const std::function<NodeState()> read_;
};

}  // namespace tessera::agent
