#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"

/// NVML, opened at run time: the agent starts and says why it has no GPUs where the driver is
/// missing.
namespace tessera::agent {

/// What NVML tells of one GPU now.
struct GpuReading {
  int index = 0;
  std::string uuid;  ///< empty if even that cannot be asked
  std::string model;
  std::uint64_t memory_total_bytes = 0;
  std::uint64_t memory_used_bytes = 0;
  int numa_node = -1;  ///< -1: unknown
  int xid = 0;  ///< a fault of the hardware that the driver told since the last reading; 0: none
  std::string trouble;  ///< why it cannot be shared now, for people; empty: healthy
};

struct NvmlReading {
  std::string driver_version;
  std::vector<GpuReading> gpus;  ///< ordered by index
};

/// An initialised NVML. One thread only.
class Nvml {
 public:
  virtual ~Nvml() = default;
  /// Errors (kUnavailable): NVML as a whole does not answer. A single GPU's trouble stands in its
  /// reading.
  virtual Result<NvmlReading> Read() = 0;
};

/// Opens `library` ("libnvidia-ml.so.1"). Errors (kUnavailable) say what is missing: the library, a
/// symbol of it (named), or the driver. `sysfs` is where the kernel tells a PCI device's NUMA node.
Result<std::unique_ptr<Nvml>> OpenNvml(const std::string& library,
                                       const std::string& sysfs = "/sys");

/// "0000:3b:00.0", as sysfs has it, from NVML's "00000000:3B:00.0". Empty if it is no bus id.
std::string SysfsPciName(const std::string& bus_id);

}  // namespace tessera::agent
