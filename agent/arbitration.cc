#include "agent/arbitration.h"

#include <algorithm>
#include <utility>

#include "agent/usage.h"

namespace tessera::agent {
namespace {

region::Policy ToRegion(binpack::ComputePolicy policy) {
  switch (policy) {
    case binpack::ComputePolicy::kFixedShare:
      return region::Policy::kFixedShare;
    case binpack::ComputePolicy::kBurstShare:
      return region::Policy::kBurstShare;
    case binpack::ComputePolicy::kBestEffort:
      break;
  }
  return region::Policy::kBestEffort;
}

bool SameGpus(const std::vector<binpack::DeviceShare>& a,
              const std::vector<binpack::DeviceShare>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.uuid == y.uuid; });
}

/// As EncodeLimits has it: without cores on any GPU it is best-effort.
contract::Limits AssignedLimits(const contract::Assignment& assignment,
                                const binpack::ContainerPlacement& placement) {
  const bool has_cores = std::any_of(placement.devices.begin(), placement.devices.end(),
                                     [](const auto& share) { return share.cores_percent > 0; });
  return {.policy = has_cores ? assignment.compute_policy : binpack::ComputePolicy::kBestEffort,
          .devices = placement.devices};
}

contract::Limits LimitsOf(const Pod& pod, const std::string& slot,
                          const binpack::ContainerPlacement& placement) {
  const auto stated = pod.limits.find(slot);
  const bool counts =
      stated != pod.limits.end() && SameGpus(stated->second.devices, placement.devices);
  return counts ? stated->second : AssignedLimits(*pod.assignment, placement);
}

}  // namespace

std::vector<ArbitratedContainer> ContainersToArbitrate(const std::vector<Pod>& pods,
                                                       const std::string& pods_dir) {
  std::vector<ArbitratedContainer> containers;
  for (const Pod& pod : pods) {
    if (!pod.assignment || pod.assignment->isolation != binpack::Isolation::kShared) continue;
    for (const auto& placement : pod.assignment->placement.containers) {
      const std::string slot = binpack::SlotName(placement.kind, placement.index);
      const auto info = pod.containers.find(slot);
      const std::string path = RegionPath(pods_dir, pod.uid, slot);
      if (info == pod.containers.end() || info->second.ended || path.empty()) continue;
      const contract::Limits limits = LimitsOf(pod, slot, placement);
      for (const binpack::DeviceShare& share : limits.devices) {
        containers.push_back({.gpu_uuid = share.uuid,
                              .region_path = path,
                              .policy = ToRegion(limits.policy),
                              .percent = static_cast<int>(share.cores_percent)});
      }
    }
  }
  return containers;
}

std::set<std::string> GpusToSample(const contract::Inventory& inventory,
                                   const std::vector<ArbitratedContainer>& containers) {
  std::set<std::string> uuids;
  for (const binpack::GpuDevice& gpu : inventory.gpus) {
    if (!gpu.healthy) return {};
    int count = 0;
    bool share = false;
    for (const ArbitratedContainer& container : containers) {
      if (container.gpu_uuid != gpu.uuid) continue;
      ++count;
      share = share || (container.percent > 0 && container.percent < 100);
    }
    if (share || count > 1) uuids.insert(gpu.uuid);
  }
  return uuids;
}

}  // namespace tessera::agent
