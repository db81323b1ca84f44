#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/abi/cuda.h"

namespace tessera::probe {

struct Options {
  std::size_t chunk_bytes = std::size_t{256} << 20;
  std::size_t smallest_bytes = std::size_t{1} << 20;
  std::chrono::milliseconds spin{200};     ///< wall time of launching kernels; 0: none
  std::chrono::microseconds kernel{1000};  ///< length of one kernel
  bool exact = false;  ///< not getting all the memory that was told to be free is a failure
};

/// What the probe saw of one GPU. Texts in `problems` are for people; none means that all was as it
/// should be.
struct DeviceReport {
  int ordinal = 0;
  std::string uuid;
  std::string name;
  std::uint64_t total_bytes = 0;         ///< cuMemGetInfo
  std::uint64_t device_total_bytes = 0;  ///< cuDeviceTotalMem
  std::uint64_t free_before_bytes = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t free_after_bytes = 0;
  std::uint64_t blocks = 0;
  std::string refused_with;
  bool exact =
      false;  ///< everything that was told to be free was got, up to less than one smallest block
  bool reallocated = false;
  std::uint64_t kernels = 0;
  std::uint64_t kernel_us = 0;
  std::uint64_t spin_wall_us = 0;
  std::vector<std::string> problems;
};

/// Probes one GPU and leaves its memory held. Never throws; every failed CUDA call is a problem in
/// the report.
DeviceReport ProbeDevice(int ordinal, const Options& options);

/// "CUDA_ERROR_OUT_OF_MEMORY"
std::string ErrorName(CUresult result);

/// One line of JSON for all devices; "ok" is true if there is no problem. `problems` are those of
/// no device.
std::string ReportLine(const std::vector<DeviceReport>& devices,
                       const std::vector<std::string>& problems);

}  // namespace tessera::probe
