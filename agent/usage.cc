#include "agent/usage.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/contract/names.h"
#include "interceptor/region/reader.h"

namespace tessera::agent {
namespace {

constexpr std::size_t kMostPathsTold = 4096;

std::vector<DeviceUsage> Granted(const binpack::ContainerPlacement& placement) {
  std::vector<DeviceUsage> devices;
  for (const binpack::DeviceShare& share : placement.devices) {
    DeviceUsage device;
    device.uuid = share.uuid;
    device.limit_mib = share.memory_mib;
    device.cores_percent = share.cores_percent;
    device.host_limit_mib = share.host_memory_mib;
    devices.push_back(std::move(device));
  }
  return devices;
}

/// Fills in what the region says about GPUs that the container was given; the rest is not believed.
void TakeUse(const region::RegionSnapshot& snapshot, std::vector<DeviceUsage>& devices) {
  for (DeviceUsage& device : devices) {
    const auto told =
        std::find_if(snapshot.devices.begin(), snapshot.devices.end(),
                     [&](const auto& candidate) { return candidate.uuid == device.uuid; });
    if (told == snapshot.devices.end()) continue;
    device.used_bytes = told->used_bytes;
    device.host_used_bytes = told->host_used_bytes;
    device.context_bytes = told->context_bytes;
    device.launches = told->launches_total;
    device.denied = told->denied_total;
    device.gpu_time_ns = told->gpu_time_ns;
    device.throttled_ns = told->throttled_ns;
  }
}

bool IsPlainName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

}  // namespace

UsageReader::UsageReader(std::string pods_dir) : pods_dir_(std::move(pods_dir)) {}

std::vector<ContainerUsage> UsageReader::Read(const std::vector<Pod>& pods) {
  std::vector<ContainerUsage> usages;
  for (const Pod& pod : pods) {
    if (!pod.assignment) continue;
    for (const auto& placement : pod.assignment->placement.containers) {
      usages.push_back(ReadContainer(pod, placement));
    }
  }
  return usages;
}

ContainerUsage UsageReader::ReadContainer(const Pod& pod,
                                          const binpack::ContainerPlacement& placement) {
  const std::string slot = binpack::SlotName(placement.kind, placement.index);
  ContainerUsage usage;
  usage.space = pod.space;
  usage.pod = pod.name;
  const auto found = pod.containers.find(slot);
  // An assignment may speak of a container that the pod does not have: its series keep the slot's
  // name.
  usage.container = found == pod.containers.end() ? slot : found->second.name;
  usage.running = found != pod.containers.end() && found->second.running;
  usage.devices = Granted(placement);
  const std::string path = RegionPath(pods_dir_, pod.uid, slot);
  usage.region_path = path;
  if (path.empty()) return usage;
  const auto snapshot = region::ReadRegion(path);
  if (snapshot) {
    usage.attached = true;
    TakeUse(*snapshot, usage.devices);
  } else if (snapshot.error().code != Errc::kNotFound) {
    usage.region_bad = true;
    LogOnce(path, snapshot.error().message);
  }
  return usage;
}

void UsageReader::LogOnce(const std::string& path, const std::string& reason) {
  {
    const std::lock_guard lock(mu_);
    if (told_.size() >= kMostPathsTold) told_.clear();
    if (!told_.insert(path).second) return;
  }
  log::Warn("region cannot be read", {{"reason", reason}});
}

std::string RegionPath(const std::string& pods_dir, const std::string& pod_uid,
                       const std::string& slot) {
  if (!IsPlainName(pod_uid)) return "";
  return pods_dir + "/" + pod_uid + "/volumes/kubernetes.io~empty-dir/" +
         std::string(names::kVolumeRegionPrefix) + slot + "/" + names::kRegionFileName;
}

}  // namespace tessera::agent
