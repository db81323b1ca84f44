#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tessera::sim {

/// What tessera-probe says of one GPU (sim/probe/device_probe.h).
struct ProbedGpu {
  std::string uuid;
  std::string name;
  std::uint64_t total_bytes = 0;
  std::uint64_t free_before_bytes = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t free_after_bytes = 0;
  std::string refused_with;
  bool exact = false;
  bool reallocated = false;
  std::uint64_t kernels = 0;
  std::uint64_t kernel_us = 0;
  std::uint64_t spin_wall_us = 0;
};

struct ProbeReport {
  bool ok = false;
  std::vector<std::string> problems;
  std::vector<ProbedGpu> gpus;
};

/// Reads the probe's line of JSON. Errors name the field.
Result<ProbeReport> ParseProbeReport(std::string_view line);

/// The probe's line in a container's log, where other lines may stand around it. None if it is not
/// there (yet).
std::optional<std::string> FindProbeLine(std::string_view log);

}  // namespace tessera::sim
