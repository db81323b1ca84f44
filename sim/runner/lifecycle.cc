#include "sim/runner/lifecycle.h"

#include <algorithm>

namespace tessera::sim {
namespace {

using binpack::ContainerKind;

bool Ended(const ContainerView& c) { return c.state == ContainerState::kEnded; }

/// The init containers' part. Returns true once the app containers may start.
bool RunInitContainers(const std::vector<ContainerView>& containers, PodStep& step) {
  for (std::size_t i = 0; i < containers.size(); ++i) {
    const ContainerView& c = containers[i];
    if (c.kind == ContainerKind::kApp) continue;
    if (c.state == ContainerState::kWaiting) {
      step.start.push_back(i);
      return false;  // a sidecar, too, must be seen running before the next one starts
    }
    if (c.kind == ContainerKind::kSidecar) continue;
    if (!Ended(c)) return false;
    if (c.exit_code != 0) {
      step.phase = "Failed";
      step.stop_sidecars = true;
      return false;
    }
  }
  return true;
}

std::string PhaseOf(const std::vector<ContainerView>& containers) {
  bool all_ended = true;
  bool failed = false;
  for (const ContainerView& c : containers) {
    if (c.kind != ContainerKind::kApp) continue;
    if (c.state == ContainerState::kWaiting) return "Pending";
    all_ended = all_ended && Ended(c);
    failed = failed || (Ended(c) && c.exit_code != 0);
  }
  if (!all_ended) return "Running";
  return failed ? "Failed" : "Succeeded";
}

}  // namespace

PodStep NextStep(const std::vector<ContainerView>& containers) {
  PodStep step;
  if (RunInitContainers(containers, step)) {
    for (std::size_t i = 0; i < containers.size(); ++i) {
      const ContainerView& c = containers[i];
      if (c.kind == ContainerKind::kApp && c.state == ContainerState::kWaiting)
        step.start.push_back(i);
    }
    step.phase = PhaseOf(containers);
    step.stop_sidecars = step.phase == "Succeeded" || step.phase == "Failed";
  }
  const bool quiet = std::none_of(containers.begin(), containers.end(), [](const ContainerView& c) {
    return c.state == ContainerState::kRunning || c.state == ContainerState::kBackOff;
  });
  step.finished = step.stop_sidecars && quiet;
  return step;
}

bool ShouldRestart(ContainerKind kind, RestartPolicy policy, int exit_code) {
  if (kind == ContainerKind::kSidecar) return true;
  if (kind == ContainerKind::kInit) return exit_code != 0 && policy != RestartPolicy::kNever;
  return policy == RestartPolicy::kAlways ||
         (policy == RestartPolicy::kOnFailure && exit_code != 0);
}

RestartPolicy ParseRestartPolicy(std::string_view text) {
  if (text == "Never") return RestartPolicy::kNever;
  if (text == "OnFailure") return RestartPolicy::kOnFailure;
  return RestartPolicy::kAlways;
}

}  // namespace tessera::sim
