#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <prometheus/metric_family.h>

#include "agent/arbiter/arbiter_thread.h"
#include "agent/mps/supervisor.h"
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
  std::optional<mps::State> mps{};       ///< none: isolation mps is off
  ArbiterReport arbitration{};           ///< empty without an arbiter
  std::map<std::string, double> busy{};  ///< by GPU: part of the last second, where it is known
};

/// The agent's metric families; README.md lists them. Pure. A series exists as long as its GPU or
/// pod does, and no two have equal labels whatever the input is.
std::vector<prometheus::MetricFamily> BuildFamilies(const NodeState& state);

/// BuildFamilies as the text format of Prometheus.
std::string RenderFamilies(const NodeState& state);

}  // namespace tessera::agent
