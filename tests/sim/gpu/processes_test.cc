// Several processes on one simulated machine, with the program sim_workload.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/abi/nvml_more.h"
#include "tests/sim/gpu/child.h"
#include "tests/sim/gpu/folder.h"
#include "tests/sim/gpu/shared_run.h"

namespace tessera::sim::gpu {
namespace {

constexpr const char* kConfig =
    "driver version=570.86.15 cuda=12080\n"
    "gpu uuid=GPU-00000000-0000-4000-8000-000000000000 memory_mib=1024 numa=0\n"
    "gpu uuid=GPU-00000000-0000-4000-8000-000000000001 memory_mib=2048 numa=1 context_mib=100\n";
constexpr unsigned long long kMib = 1 << 20;

const std::string kWorkload = std::string(TESSERA_BINARY_DIR) + "/bin/sim_workload";

/// A machine of its own for each test; NVML in this process watches it.
class Processes : public ::testing::Test {
 protected:
  Processes() {
    config_ = folder_.Write("gpus", kConfig);
    setenv("TESSERA_SIM_GPUS", config_.c_str(), 1);
    setenv("TESSERA_SIM_STATE", folder_.path().c_str(), 1);
  }
  std::unique_ptr<Child> Run(const std::string& arguments, Variables variables = {}) {
    return std::make_unique<Child>(kWorkload + " " + arguments, variables);
  }
  Folder folder_;
  std::string config_;
};

TEST_F(Processes, FillOneDeviceToItsLastBlockWhenTheyRace) {
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 4; ++i) children.push_back(Run("fill 1048576"));
  for (const auto& child : children) child->Send("go");
  int blocks = 0;
  int most = 0;
  Child* richest = nullptr;
  for (const auto& child : children) {
    const int got = std::stoi(child->Line());
    blocks += got;
    if (got > most) richest = child.get();
    most = std::max(most, got);
  }
  EXPECT_EQ(blocks, 1024);
  ASSERT_NE(richest, nullptr);
  richest->Kill();
  const auto late = Run("fill 1048576");
  late->Send("go");
  EXPECT_EQ(std::stoi(late->Line()), most) << "what the killed one had is free again";
}

TEST_F(Processes, OutOfMemoryIsToldAndAKilledHolderFreesIt) {
  const auto holder = Run("hold 1073741824");
  EXPECT_EQ(holder->Line(), "held 0");
  const auto second = Run("hold 1");
  EXPECT_EQ(second->Line(), "held 2");
  holder->Kill();
  const auto third = Run("hold 1073741824");
  EXPECT_EQ(third->Line(), "held 0");
}

TEST_F(Processes, AnOrderlyEndFreesToo) {
  const auto holder = Run("hold 1073741824");
  EXPECT_EQ(holder->Line(), "held 0");
  holder->Send("leave");
  EXPECT_EQ(holder->Wait(), 0);
  EXPECT_EQ(Run("hold 1073741824")->Line(), "held 0");
}

TEST_F(Processes, CallsAfterTheDriversEndSaySo) { EXPECT_EQ(Run("late 0")->Line(), "late 4 4 4"); }

TEST_F(Processes, SpinnersShareTheDevice) {
  const auto one = Run("spin 1000000 200");
  const auto two = Run("spin 1000000 200");
  const auto elsewhere = Run("spin 1000000 200", {{"CUDA_VISIBLE_DEVICES", "1"}});
  for (const auto* child : {&one, &two, &elsewhere}) EXPECT_EQ((*child)->Line(), "ready");
  for (const auto* child : {&one, &two, &elsewhere}) (*child)->Send("go");
  const auto when = [](Child& child) {
    std::istringstream line(child.Line());
    int result = -1;
    Ran ran;
    EXPECT_TRUE(line >> result >> ran.begin_ns >> ran.end_ns);
    EXPECT_EQ(result, 0);
    return ran;
  };
  ExpectShared(when(*one), 200, when(*two), 200, 0.5, 80);
  EXPECT_NEAR(when(*elsewhere).Milliseconds(), 200, 60);
}

TEST_F(Processes, ContextsCostWhatTheConfigurationSays) {
  const auto fits = Run("hold 2042626048", {{"CUDA_VISIBLE_DEVICES", "1"}});  // 1948 MiB
  EXPECT_EQ(fits->Line(), "held 0");
  const auto no_room = Run("hold 1", {{"CUDA_VISIBLE_DEVICES", "1"}});
  EXPECT_EQ(no_room->Line(), "error 2") << "no room for its context";
}

TEST_F(Processes, VisibilityDecidesWhichDevice) {
  struct Case {
    Variables variables;
    const char* bytes;
    const char* want;
  };
  const Case cases[] = {
      {{{"TESSERA_SIM_VISIBLE", "1"}}, "1948", "held 0"},  // more than device 0 has
      {{{"TESSERA_SIM_VISIBLE", "0"}}, "1948", "held 2"},
      {{{"TESSERA_SIM_VISIBLE", "none"}}, "1", "error 100"},
      {{{"TESSERA_SIM_VISIBLE", ""}}, "1", "error 100"},
      {{{"TESSERA_SIM_VISIBLE", "void"}}, "1", "error 100"},
      {{{"CUDA_VISIBLE_DEVICES", "1"}}, "1948", "held 0"},
      {{{"CUDA_VISIBLE_DEVICES", "GPU-00000000-0000-4000-8000-000000000001"}}, "1948", "held 0"},
      {{{"CUDA_VISIBLE_DEVICES", ""}}, "1", "error 100"},
      {{{"CUDA_VISIBLE_DEVICES", "0,0"}}, "1", "error 101"},
      {{{"TESSERA_SIM_VISIBLE", "1"}, {"CUDA_VISIBLE_DEVICES", "0"}}, "1948", "held 0"},
      {{{"TESSERA_SIM_VISIBLE", "1"}, {"CUDA_VISIBLE_DEVICES", "1"}}, "1", "error 100"},
  };
  for (const Case& c : cases) {
    std::string trace;
    for (const auto& [name, value] : c.variables) trace.append(name).append("=").append(value);
    SCOPED_TRACE(trace);
    const auto bytes = std::to_string(std::stoull(c.bytes) * kMib);
    EXPECT_EQ(Run("hold " + bytes, c.variables)->Line(), c.want);
  }
}

TEST_F(Processes, ABadConfigurationIsOneClearLineAndNoDevice) {
  const std::string errors = folder_.path() + "/errors";
  const auto run = [&](const Variables& variables) {
    Child child(kWorkload + " hold 1 2>" + errors, variables);
    std::string text = child.Line() + "|";
    child.Wait();
    std::ifstream file(errors);
    for (std::string line; std::getline(file, line);) text += line + "|";
    return text;
  };
  folder_.Write("gpus", "gpu uuid=GPU-00000000-0000-4000-8000-000000000000 memory_mib=many\n");
  EXPECT_THAT(run({}),
              ::testing::MatchesRegex(
                  "error 100.tessera-sim: TESSERA_SIM_GPUS .*gpus: line 1: memory_mib must "
                  "be a number from 1 to [0-9]+, not 'many'."));
  EXPECT_THAT(run({{"TESSERA_SIM_GPUS", "/nonexistent"}}),
              ::testing::MatchesRegex("error 100.tessera-sim: TESSERA_SIM_GPUS /nonexistent: No "
                                      "such file or directory."));
  folder_.Write("gpus", kConfig);
  EXPECT_THAT(run({{"TESSERA_SIM_STATE", "/nonexistent/folder"}}),
              ::testing::MatchesRegex("error 100.tessera-sim: TESSERA_SIM_STATE .*: No such .*"));
}

TEST_F(Processes, TheJournalTellsWhatReachedTheDriver) {
  const std::string journal = folder_.path() + "/journal";
  const auto child = Run("hold 12345", {{"TESSERA_SIM_JOURNAL", journal}});
  child->Line();
  std::ifstream file(journal);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, std::to_string(child->pid()) + " cuMemAlloc_v2 bytes=12345 result=0");
}

TEST_F(Processes, WithoutWorkTheDriverDoesNothing) {
  const auto child = Run("fill 1000", {{"TESSERA_SIM_NOOP", "1"}, {"TESSERA_SIM_VISIBLE", "0"}});
  // Endless success: the program would never come back from filling.
  child->Send("go");
  const auto real = Run("hold 1073741824");
  EXPECT_EQ(real->Line(), "held 0") << "nothing is counted";
  child->Kill();
}

}  // namespace
}  // namespace tessera::sim::gpu
