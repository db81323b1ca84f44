#include "sim/runner/process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/temp_folder.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

class ProcessTest : public testing::Test {
 protected:
  ProcessSpec Shell(const std::string& script) {
    return {{"sh", "-c", script}, {"A=1"}, folder_.path().string(), Log()};
  }
  std::string Log() const { return (folder_.path() / "log").string(); }
  /// Blocks until the log holds `text`: a fifo-free way to know that a script got there. The
  /// deadline fails the test.
  bool WaitForLog(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      if (ReadFile(Log()).find(text) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }
  /// Whether the process whose number a script wrote to `child` has ended, or does so before the
  /// deadline. A zombie has.
  bool ChildIsGone() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const std::string number = std::to_string(std::stoi(ReadFile(folder_.path() / "child")));
    while (std::chrono::steady_clock::now() < deadline) {
      const std::string status = ReadFile("/proc/" + number + "/status");
      if (status.empty() || status.find("State:\tZ") != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }
  TempFolder folder_;
};

TEST_F(ProcessTest, HasExactlyTheGivenEnvironmentAndFolder) {
  const auto process = Process::Start({{"env"}, {"A=1", "B=x y"}, "", Log()}).value();
  EXPECT_EQ(process->Wait(), 0);
  EXPECT_EQ(ReadFile(Log()), "A=1\nB=x y\n");
  const auto where = Process::Start({{"/bin/pwd"}, {}, folder_.path().string(), Log()}).value();
  EXPECT_EQ(where->Wait(), 0);
  EXPECT_THAT(ReadFile(Log()), HasSubstr(folder_.path().string()));
}

TEST_F(ProcessTest, TellsExitCodesAndSignals) {
  EXPECT_EQ(Process::Start(Shell("exit 7")).value()->Wait(), 7);
  EXPECT_EQ(Process::Start(Shell("kill -9 $$")).value()->Wait(), 128 + 9);
}

TEST_F(ProcessTest, StartsWithNoSignalBlockedOrIgnored) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  signal(SIGPIPE, SIG_IGN);
  // glibc's own signal, ignored: nohup and other launchers leave it so.
  const struct {
    void (*handler)(int) = SIG_IGN;
    std::uint64_t rest[3] = {};
  } ignore;
  ASSERT_EQ(syscall(SYS_rt_sigaction, 33, &ignore, nullptr, 8), 0);
  const auto process =
      Process::Start({{"grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}, {}, "", Log()});
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const std::uint64_t restore[4] = {};
  syscall(SYS_rt_sigaction, 33, &restore, nullptr, 8);
  ASSERT_EQ(process.value()->Wait(), 0);
  EXPECT_THAT(ReadFile(Log()), HasSubstr("SigBlk:\t0000000000000000"));
  EXPECT_THAT(ReadFile(Log()), HasSubstr("SigIgn:\t0000000000000000"));
}

TEST_F(ProcessTest, ErrorsNameTheProgramOrTheFile) {
  struct Case {
    ProcessSpec spec;
    const char* want;
  };
  for (const Case& c : {
           Case{{{"no-such-program"}, {}, "", Log()}, "no-such-program"},
           Case{{{"/no/such/program"}, {}, "", Log()}, "/no/such/program"},
           Case{{{}, {}, "", Log()}, "no program"},
           Case{{{"true"}, {}, "/no/such/folder", Log()}, "No such file"},
           Case{{{"true"}, {}, "", "/no/such/folder/log"}, "/no/such/folder/log"},
       }) {
    const auto process = Process::Start(c.spec);
    ASSERT_FALSE(process);
    EXPECT_THAT(process.error().message, HasSubstr(c.want));
  }
}

TEST_F(ProcessTest, ASignalReachesTheWholeGroup) {
  const auto process =
      Process::Start(Shell("sleep 1000 & echo $! > child; echo started; wait")).value();
  ASSERT_TRUE(WaitForLog("started"));
  EXPECT_FALSE(process->Ended());
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(), 128 + SIGTERM);
  EXPECT_TRUE(process->Ended());
  EXPECT_TRUE(ChildIsGone());
}

TEST_F(ProcessTest, WhatTheMainProcessLeavesBehindIsKilled) {
  const auto process = Process::Start(Shell("sleep 1000 & echo $! > child; exit 3")).value();
  EXPECT_EQ(process->Wait(), 3);
  EXPECT_EQ(process->Wait(), 3) << "twice is fine";
  EXPECT_TRUE(ChildIsGone());
  process->Signal(SIGKILL);  // nobody there: nothing happens
}

TEST_F(ProcessTest, DiesWithTheThreadThatStartedIt) {
  std::unique_ptr<Process> process;
  std::jthread([&] { process = Process::Start(Shell("exec sleep 1000")).value(); }).join();
  EXPECT_EQ(process->Wait(), 128 + SIGKILL);
}

TEST(FindExecutable, SearchesThePathInOrder) {
  TempFolder folder;
  const auto program = folder.path() / "prog";
  std::ofstream(program) << "#!/bin/sh\n";
  EXPECT_EQ(FindExecutable("prog", folder.path().string()), "") << "not executable";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  EXPECT_EQ(FindExecutable("prog", "/nowhere::" + folder.path().string() + ":/bin"),
            program.string());
  EXPECT_EQ(FindExecutable(program.string(), ""), program.string());
  EXPECT_EQ(FindExecutable("", folder.path().string()), "");
  EXPECT_EQ(FindExecutable("prog", ""), "");
}

}  // namespace
}  // namespace tessera::sim
