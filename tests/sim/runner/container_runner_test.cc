#include "sim/runner/container_runner.h"

#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/temp_folder.h"

namespace tessera::sim {
namespace {

using binpack::ContainerKind;
using testing::HasSubstr;

class ContainerRunnerTest : public testing::Test {
 protected:
  ContainerRunner::Settings Run(const std::string& script, RestartPolicy policy) {
    return {
        ContainerKind::kApp, policy,
        [this, script]() -> Result<ProcessSpec> {
          ++plans_;
          return ProcessSpec{
              {"sh", "-c", script}, {}, folder_.path().string(), (folder_.path() / "log").string()};
        },
        [this] {
          ++changes_;
          changes_.notify_all();
        }};
  }
  /// Blocks until the report satisfies `done`; every change wakes it.
  template <typename Done>
  ContainerReport WaitUntil(const ContainerRunner& runner, Done done) {
    while (true) {
      const int seen = changes_;
      const ContainerReport report = runner.report();
      if (done(report)) return report;
      changes_.wait(seen);
    }
  }
  static bool Ended(const ContainerReport& r) { return r.view.state == ContainerState::kEnded; }
  static bool Running(const ContainerReport& r) { return r.view.state == ContainerState::kRunning; }

  TempFolder folder_;
  SystemClock clock_;
  std::atomic<int> plans_{0};
  std::atomic<int> changes_{0};
};

TEST_F(ContainerRunnerTest, RunsOnceWhenNothingAsksForMore) {
  ContainerRunner runner(Run("exit 5", RestartPolicy::kNever), clock_);
  EXPECT_EQ(runner.report().view.state, ContainerState::kWaiting);
  runner.Start();
  runner.Start();
  const auto report = WaitUntil(runner, Ended);
  EXPECT_EQ(report.view.exit_code, 5);
  EXPECT_EQ(report.restarts, 0);
  EXPECT_EQ(plans_, 1);
}

TEST_F(ContainerRunnerTest, TheFirstRestartIsImmediateAndPlansAnew) {
  ContainerRunner runner(
      Run("test -e second || { touch second; exit 1; }", RestartPolicy::kOnFailure), clock_);
  runner.Start();
  const auto report = WaitUntil(runner, Ended);
  EXPECT_EQ(report.view.exit_code, 0);
  EXPECT_EQ(report.restarts, 1);
  EXPECT_EQ(plans_, 2);
}

TEST_F(ContainerRunnerTest, StoppingEndsItForGood) {
  ContainerRunner runner(Run("exec sleep 1000", RestartPolicy::kAlways), clock_);
  runner.Start();
  WaitUntil(runner, Running);
  runner.RequestStop();
  EXPECT_EQ(WaitUntil(runner, Ended).view.exit_code, 128 + 15);
}

TEST_F(ContainerRunnerTest, StoppingEndsABackOff) {
  ContainerRunner runner(Run("exit 1", RestartPolicy::kAlways), clock_);
  runner.Start();
  WaitUntil(runner, [](const ContainerReport& r) { return r.restarts == 2; });
  runner.RequestStop();
  WaitUntil(runner, Ended);
}

TEST_F(ContainerRunnerTest, KillEndsOneThatIgnoresSigterm) {
  ContainerRunner runner(
      Run("trap '' TERM; echo up > up; while :; do sleep 1000; done", RestartPolicy::kNever),
      clock_);
  runner.Start();
  WaitUntil(runner, Running);
  while (ReadFile(folder_.path() / "up").empty()) std::this_thread::yield();
  runner.RequestStop();
  runner.Kill();
  EXPECT_EQ(WaitUntil(runner, Ended).view.exit_code, 128 + 9);
}

TEST_F(ContainerRunnerTest, OneThatWasNeverStartedEndsAtOnce) {
  ContainerRunner runner(Run("true", RestartPolicy::kAlways), clock_);
  runner.RequestStop();
  EXPECT_TRUE(Ended(runner.report()));
  runner.Start();
  EXPECT_EQ(plans_, 0);
}

TEST_F(ContainerRunnerTest, WhatCannotStartSaysWhy) {
  auto settings = Run("", RestartPolicy::kNever);
  settings.plan = []() -> Result<ProcessSpec> {
    return Fail(Errc::kNotFound, "image x is unknown");
  };
  ContainerRunner runner(settings, clock_);
  runner.Start();
  const auto report = WaitUntil(runner, Ended);
  EXPECT_NE(report.view.exit_code, 0);
  EXPECT_THAT(report.message, HasSubstr("image x is unknown"));
}

}  // namespace
}  // namespace tessera::sim
