#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "interceptor/region/layout.h"

/// For the agent: a region file as it was at one moment. The tenant owns the file; nothing in it is
/// believed unchecked, and it is never mapped.
namespace tessera::region {

/// One process of the container on one device.
struct DeviceUse {
  std::size_t device = 0;  ///< index into RegionSnapshot::devices
  std::uint64_t used_bytes = 0;
  std::uint64_t host_bytes = 0;  ///< in host memory, in place of the device's
  std::uint64_t launches = 0;
};

struct ProcessUse {
  std::uint64_t pid = 0;  ///< in the container's pid namespace
  std::uint64_t start_ticks = 0;
  std::vector<DeviceUse> devices;  ///< one for each device of the snapshot, in its order
};

struct DeviceSnapshot {
  std::string uuid;
  std::uint64_t limit_bytes = 0;
  std::uint32_t cores_percent = 0;  ///< 0: no share was asked for
  Policy policy = Policy::kFixedShare;
  std::uint64_t used_bytes = 0;        ///< of the processes below
  std::uint64_t host_limit_bytes = 0;  ///< of host memory in place of the device's; 0: none
  std::uint64_t host_used_bytes = 0;   ///< of the processes below
  std::uint64_t context_bytes = 0;     ///< of a context, part of that; 0: not known
  std::uint64_t launches_total = 0;    ///< since the region was made, ended processes included
  std::uint64_t denied_total = 0;      ///< allocations refused, likewise
  std::uint64_t gpu_time_ns = 0;       ///< used while there was a share to keep, likewise
  std::uint64_t throttled_ns = 0;      ///< launches waited for the share, likewise
};

struct RegionSnapshot {
  std::vector<DeviceSnapshot> devices;
  std::vector<ProcessUse> processes;  ///< owners of slots that are alive as far as can be told
};

/// Pure. `bytes` must be a whole file; `alive[i]` is false where slot i's owner is known to be
/// dead. Errors (kInvalidArgument) name the field: "header.version is 7, this agent reads 1".
/// kUnavailable: the file changed while it was copied; copy it again.
Result<RegionSnapshot> ParseRegion(std::span<const std::byte> bytes, const bool* alive = nullptr);

/// Reads the file of that name. kNotFound: there is none (yet). Does not follow a symbolic link,
/// opens no device, and reads at most one region's size whatever the file's is. Any thread.
Result<RegionSnapshot> ReadRegion(const std::string& path);

}  // namespace tessera::region
