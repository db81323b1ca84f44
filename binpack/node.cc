#include "binpack/node.h"

#include <algorithm>
#include <utility>

namespace tessera::binpack {

Amount Max(const Amount& a, const Amount& b) {
  return {std::max(a.memory_mib, b.memory_mib), std::max(a.cores_percent, b.cores_percent)};
}

NodeInfo MakeNode(std::string name, const std::vector<GpuDevice>& gpus) {
  NodeInfo node{.name = std::move(name)};
  node.devices.reserve(gpus.size());
  for (const GpuDevice& gpu : gpus) node.devices.push_back({.device = gpu, .used = {}});
  return node;
}

const DeviceInfo* FindDevice(const NodeInfo& node, std::string_view uuid) {
  for (const DeviceInfo& info : node.devices) {
    if (info.device.uuid == uuid) return &info;
  }
  return nullptr;
}

DeviceInfo* FindDevice(NodeInfo& node, std::string_view uuid) {
  return const_cast<DeviceInfo*>(FindDevice(std::as_const(node), uuid));
}

Amount Resolve(const GpuRequest& request, const Amount& capacity) {
  Amount amount{request.memory_mib, request.cores_percent};
  if (request.memory_percent > 0) {
    amount.memory_mib =
        std::max<std::int64_t>(1, capacity.memory_mib * request.memory_percent / 100);
  }
  return amount;
}

}  // namespace tessera::binpack
