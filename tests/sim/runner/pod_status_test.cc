#include "sim/runner/pod_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using binpack::ContainerKind;

ContainerReport Report(ContainerKind kind, ContainerState state, int exit_code = 0) {
  ContainerReport report;
  report.view = {kind, state, exit_code};
  return report;
}

TEST(StatusPatch, WordsContainersAsAKubeletDoes) {
  auto waiting = Report(ContainerKind::kApp, ContainerState::kBackOff, 1);
  waiting.reason = "CreateContainerError";
  waiting.message = "no program called \"x\"";
  waiting.restarts = 2;
  const auto patch = json::Parse(
      StatusPatch("Running", "",
                  {{"install", "i:1", Report(ContainerKind::kInit, ContainerState::kEnded, 0)},
                   {"bad", "b:1", Report(ContainerKind::kApp, ContainerState::kEnded, 3)},
                   {"run", "r:1", Report(ContainerKind::kApp, ContainerState::kRunning)},
                   {"wait", "w:1", waiting},
                   {"new", "n:1", Report(ContainerKind::kApp, ContainerState::kWaiting)}}));
  ASSERT_TRUE(patch);
  const auto& status = *json::Find(*patch, "status");
  EXPECT_EQ(TextAt(status, {"phase"}), "Running");
  EXPECT_EQ(json::Find(status, "message"), nullptr);
  const auto& init = *json::Find(status, "initContainerStatuses");
  ASSERT_EQ(init.Size(), 1u);
  EXPECT_EQ(TextAt(init[0], {"state", "terminated", "reason"}), "Completed");
  const auto& apps = *json::Find(status, "containerStatuses");
  ASSERT_EQ(apps.Size(), 4u);
  EXPECT_EQ(TextAt(apps[0], {"state", "terminated", "reason"}), "Error");
  EXPECT_EQ(json::FindPath(apps[0], {"state", "terminated", "exitCode"})->GetInt(), 3);
  EXPECT_NE(json::FindPath(apps[1], {"state", "running", "startedAt"}), nullptr);
  EXPECT_TRUE(json::Find(apps[1], "ready")->GetBool());
  EXPECT_EQ(TextAt(apps[2], {"state", "waiting", "message"}), "no program called \"x\"");
  EXPECT_EQ(json::Find(apps[2], "restartCount")->GetInt(), 2);
  EXPECT_EQ(TextAt(apps[3], {"state", "waiting", "reason"}), "ContainerCreating");
}

TEST(StatusPatch, SaysWhyAPodCannotStart) {
  const auto patch = json::Parse(StatusPatch("Pending", "volumes: no", {})).value();
  EXPECT_EQ(TextAt(patch, {"status", "message"}), "volumes: no");
}

TEST(Rfc3339, IsUtcInWholeSeconds) {
  EXPECT_EQ(Rfc3339(std::chrono::system_clock::from_time_t(1795353300)), "2026-11-22T13:15:00Z");
}

}  // namespace
}  // namespace tessera::sim
