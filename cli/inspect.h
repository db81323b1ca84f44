#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "binpack/node.h"
#include "common/json/json.h"

/// What `kubectl tessera inspect` shows: GPUs, what is given out of them, and to whom. Pure.
namespace tessera::cli {

/// A pod on one GPU.
struct Tenant {
  std::string pod;  ///< namespace/name
  binpack::Amount amount;
};

struct GpuReport {
  binpack::DeviceInfo info;
  std::vector<Tenant> tenants{};
};

struct NodeReport {
  std::string name;
  std::string problem{};  ///< why there is nothing to show, or what to distrust
  std::vector<GpuReport> gpus{};
};

/// From the items of a list of nodes and a list of pods. Nodes without an inventory are left out;
/// ended pods hold nothing. `only`: one node's name, or empty for all. Ordered by node name and GPU
/// index.
std::vector<NodeReport> Inspect(const rapidjson::Value& nodes, const rapidjson::Value& pods,
                                std::string_view only);

/// For people.
std::string Table(const std::vector<NodeReport>& nodes);
/// {"nodes":[{"name":…,"problem":…,"gpus":[{"uuid":…,"index":…,"model":…,"healthy":…,"memoryMiB":{"used":…,"total":…},
/// "cores":{"used":…,"total":…},"pods":[{"pod":…,"memoryMiB":…,"cores":…}]}]}]}
std::string Json(const std::vector<NodeReport>& nodes);

}  // namespace tessera::cli
