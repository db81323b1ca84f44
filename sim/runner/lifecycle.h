#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "binpack/types.h"

/// In which order the containers of a pod run, and what the pod's phase is. Pure.
namespace tessera::sim {

enum class ContainerState {
  kWaiting,  ///< never started
  kRunning,
  kBackOff,  ///< ended and will be started again
  kEnded,    ///< ended for good
};

struct ContainerView {
  binpack::ContainerKind kind = binpack::ContainerKind::kApp;
  ContainerState state = ContainerState::kWaiting;
  int exit_code = 0;  ///< of the last run, if it ended
};

struct PodStep {
  std::vector<std::size_t> start;  ///< containers to start now
  bool stop_sidecars = false;      ///< all app containers have ended: end the sidecars
  bool finished = false;           ///< every container has ended, nothing is left to do
  std::string phase = "Pending";
};

/// What to do next. `containers`: spec.initContainers in order, then spec.containers. An init
/// container must have ended with 0 before the next one starts, a sidecar must only have been
/// started. An init container that ended for good with another code fails the pod.
PodStep NextStep(const std::vector<ContainerView>& containers);

enum class RestartPolicy { kAlways, kOnFailure, kNever };

/// Whether a container that ended with `exit_code` is started again. Init containers are never
/// repeated after success; sidecars always are.
bool ShouldRestart(binpack::ContainerKind kind, RestartPolicy policy, int exit_code);

/// "Never", "OnFailure"; everything else, the empty string too, is Always.
RestartPolicy ParseRestartPolicy(std::string_view text);

}  // namespace tessera::sim
