#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "common/base/thread_annotations.h"

namespace tessera::agent {

/// One GPU of one container: what it was given and what its region says it uses.
struct DeviceUsage {
  std::string uuid;
  std::int64_t limit_mib = 0;
  std::int64_t cores_percent = 0;
  std::uint64_t used_bytes = 0;       ///< 0 without a region
  std::int64_t host_limit_mib = 0;    ///< of host memory beyond limit_mib; 0: none
  std::uint64_t host_used_bytes = 0;  ///< 0 without a region
  std::uint64_t context_bytes = 0;    ///< of each of its CUDA contexts, part of that; 0: not known
  std::uint64_t launches = 0;
  std::uint64_t denied = 0;
  std::uint64_t gpu_time_ns = 0;
  std::uint64_t throttled_ns = 0;
};

struct ContainerUsage {
  std::string space;
  std::string pod;
  std::string container;
  bool running = false;
  bool attached = false;  ///< its region is there and readable: the interceptor is at work
  bool region_bad = false;
  std::string region_path;  ///< empty: the pod's uid is no plain name
  std::vector<DeviceUsage> devices;
};

/// Reads the regions of a node's containers. Tenants own those files, so nothing in one is believed
/// about another container or about a GPU that its container was not given. Thread-safe.
class UsageReader {
 public:
  /// `pods_dir` is the kubelet's: <pods_dir>/<uid>/volumes/kubernetes.io~empty-dir/<volume>/.
  explicit UsageReader(std::string pods_dir);

  /// In the order of `pods` and their assignments.
  std::vector<ContainerUsage> Read(const std::vector<Pod>& pods);

 private:
  ContainerUsage ReadContainer(const Pod& pod, const binpack::ContainerPlacement& placement);
  void LogOnce(const std::string& path, const std::string& reason);

  const std::string pods_dir_;
  std::mutex mu_;
  /// Bad regions told already, so that a scrape every few seconds does not repeat them.
  std::set<std::string> told_ TESSERA_GUARDED_BY(mu_);
};

/// Where a container's region is. Empty if `pod_uid` is no plain name.
std::string RegionPath(const std::string& pods_dir, const std::string& pod_uid,
                       const std::string& slot);

}  // namespace tessera::agent
