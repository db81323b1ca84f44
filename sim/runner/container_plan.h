#pragma once

#include <map>
#include <string>
#include <vector>

#include <rapidjson/document.h>

#include "common/base/result.h"
#include "sim/runner/process.h"
#include "sim/runner/volumes.h"

namespace tessera::sim {

/// What a node of the simulation is made of. Immutable once its runner has started.
struct NodeSettings {
  std::string name;
  VolumeLayout volumes;
  /// Image reference without its tag or digest -> the program that its entry point is.
  std::map<std::string, std::string> entrypoints;
  std::string bin_dir;     ///< first on every container's PATH
  std::string driver_dir;  ///< the simulated libcuda.so.1 and libnvidia-ml.so.1
  std::string gpus_file;   ///< TESSERA_SIM_GPUS
  std::string state_dir;   ///< TESSERA_SIM_STATE
  std::map<std::string, std::string> capacity;  ///< of the Node object: cpu, memory, pods
};

/// "ghcr.io/tessera-dev/probe" from "ghcr.io/tessera-dev/probe:0.1.0" or "…@sha256:…".
std::string ImageName(const std::string& reference);

/// Everything needed to start one container as a local process: command, whole environment, working
/// folder and log file. Adds to what the pod says only PATH, what the NVIDIA runtime would do
/// (TESSERA_SIM_VISIBLE and the driver's folder on LD_LIBRARY_PATH) and, because nothing is really
/// mounted, where the library's folders are. Errors name the container's field, or the image.
Result<ProcessSpec> PlanContainer(const rapidjson::Value& pod, const rapidjson::Value& container,
                                  const VolumePaths& volumes, const NodeSettings& node);

}  // namespace tessera::sim
