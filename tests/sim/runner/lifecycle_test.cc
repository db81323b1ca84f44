#include "sim/runner/lifecycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

using binpack::ContainerKind;
using testing::ElementsAre;
using State = ContainerState;

constexpr ContainerKind kInit = ContainerKind::kInit;
constexpr ContainerKind kSidecar = ContainerKind::kSidecar;
constexpr ContainerKind kApp = ContainerKind::kApp;

TEST(NextStep, FollowsKubernetesOrder) {
  struct Case {
    const char* name;
    std::vector<ContainerView> containers;
    std::vector<std::size_t> start;
    const char* phase;
    bool stop_sidecars = false;
    bool finished = false;
  };
  const std::vector<Case> cases = {
      {"all app containers start together", {{kApp}, {kApp}}, {0, 1}, "Pending"},
      {"the first init container comes alone", {{kInit}, {kInit}, {kApp}}, {0}, "Pending"},
      {"a running init container holds everything",
       {{kInit, State::kRunning}, {kInit}, {kApp}},
       {},
       "Pending"},
      {"the next one follows its success",
       {{kInit, State::kEnded, 0}, {kInit}, {kApp}},
       {1},
       "Pending"},
      {"an init container that failed for good fails the pod",
       {{kInit, State::kEnded, 3}, {kApp}},
       {},
       "Failed",
       true,
       true},
      {"an init container that is tried again holds",
       {{kInit, State::kBackOff, 3}, {kApp}},
       {},
       "Pending"},
      {"a sidecar need only run", {{kSidecar, State::kRunning}, {kInit}, {kApp}}, {1}, "Pending"},
      {"a sidecar that was not started yet comes first", {{kSidecar}, {kApp}}, {0}, "Pending"},
      {"apps start beside the sidecar", {{kSidecar, State::kRunning}, {kApp}}, {1}, "Pending"},
      {"running", {{kSidecar, State::kRunning}, {kApp, State::kRunning}}, {}, "Running"},
      {"one ended, one runs", {{kApp, State::kEnded, 1}, {kApp, State::kRunning}}, {}, "Running"},
      {"back-off is running", {{kApp, State::kBackOff, 1}}, {}, "Running"},
      {"success ends the sidecars",
       {{kSidecar, State::kRunning}, {kApp, State::kEnded, 0}},
       {},
       "Succeeded",
       true},
      {"all ended",
       {{kSidecar, State::kEnded, 143}, {kApp, State::kEnded, 0}},
       {},
       "Succeeded",
       true,
       true},
      {"one failure fails the pod",
       {{kApp, State::kEnded, 0}, {kApp, State::kEnded, 2}},
       {},
       "Failed",
       true,
       true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const PodStep step = NextStep(c.containers);
    EXPECT_EQ(step.start, c.start);
    EXPECT_EQ(step.phase, c.phase);
    EXPECT_EQ(step.stop_sidecars, c.stop_sidecars);
    EXPECT_EQ(step.finished, c.finished);
  }
}

TEST(ShouldRestart, DependsOnKindPolicyAndExitCode) {
  struct Case {
    ContainerKind kind;
    const char* policy;
    int exit_code;
    bool want;
  };
  for (const Case& c : {
           Case{kApp, "Always", 0, true},
           Case{kApp, "", 0, true},
           Case{kApp, "OnFailure", 0, false},
           Case{kApp, "OnFailure", 1, true},
           Case{kApp, "Never", 1, false},
           Case{kInit, "Always", 0, false},
           Case{kInit, "Always", 1, true},
           Case{kInit, "Never", 1, false},
           Case{kSidecar, "Never", 0, true},
           Case{kSidecar, "Never", 1, true},
       }) {
    SCOPED_TRACE(std::string(c.policy) + " " + std::to_string(c.exit_code));
    EXPECT_EQ(ShouldRestart(c.kind, ParseRestartPolicy(c.policy), c.exit_code), c.want);
  }
}

}  // namespace
}  // namespace tessera::sim
