#pragma once

#include <string>
#include <vector>

#include "sim/runner/container_runner.h"

namespace tessera::sim {

struct NamedReport {
  std::string name;
  std::string image;
  ContainerReport report;
};

/// The merge patch of pods/status that tells a pod's phase and its containers, as a kubelet words
/// them. `message` stands in status.message if it is not empty. Pure.
std::string StatusPatch(const std::string& phase, const std::string& message,
                        const std::vector<NamedReport>& containers);

/// "2026-11-22T13:15:00Z".
std::string Rfc3339(std::chrono::system_clock::time_point time);

}  // namespace tessera::sim
