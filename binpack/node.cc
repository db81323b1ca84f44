#include "binpack/node.h"

#include <algorithm>
#include <utility>

namespace tessera::binpack {

Amount Max(const Amount& a, const Amount& b) {
  return {std::max(a.memory_mib, b.memory_mib), std::max(a.cores_percent, b.cores_percent),
          std::max(a.mps_clients, b.mps_clients)};
}

bool AdmitsMode(const DeviceInfo& info, Isolation isolation) {
  switch (isolation) {
    case Isolation::kExclusive:
      return info.tenants == 0;
    case Isolation::kMps:
      return info.mps_tenants == info.tenants;
    case Isolation::kShared:
      break;
  }
  return info.exclusive_tenants == 0 && info.mps_tenants == 0;
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

Amount Resolve(const GpuRequest& request, const Amount& capacity, Isolation isolation) {
  Amount amount{request.memory_mib, request.cores_percent, isolation == Isolation::kMps ? 1 : 0};
  if (request.memory_percent > 0) {
    amount.memory_mib =
        std::max<std::int64_t>(1, capacity.memory_mib * request.memory_percent / 100);
  }
  return amount;
}

}  // namespace tessera::binpack
