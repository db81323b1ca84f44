#include "sim/gpu/state.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

constexpr const char* kUuid = "GPU-00000000-0000-4000-8000-000000000000";
constexpr std::uint64_t kMib = 1 << 20;

std::unique_ptr<DeviceState> Open(const Folder& folder) {
  auto state = DeviceState::Open(folder.path(), kUuid);
  EXPECT_TRUE(state) << state.error().message;
  return *std::move(state);
}

/// Runs `body` in a child; the child's exit status is what it returns.
pid_t Spawn(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  return child;
}

int Await(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// One byte through a pipe: the other side has come this far.
struct Signal {
  int ends[2];
  Signal() { EXPECT_EQ(pipe(ends), 0); }
  ~Signal() {
    close(ends[0]);
    close(ends[1]);
  }
  void Give() const { EXPECT_EQ(write(ends[1], "x", 1), 1); }
  void Take() const {
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
  }
};

TEST(State, MemoryIsExactToTheByte) {
  const Folder folder;
  const auto state = Open(folder);
  EXPECT_FALSE(state->Reserve(1, kMib)) << "no slot yet";
  ASSERT_TRUE(state->Attach());
  ASSERT_TRUE(state->Attach()) << "twice is once";
  EXPECT_TRUE(state->Reserve(kMib - 1, kMib));
  EXPECT_FALSE(state->Reserve(2, kMib));
  EXPECT_TRUE(state->Reserve(1, kMib));
  EXPECT_FALSE(state->Reserve(1, kMib));
  EXPECT_EQ(state->used_bytes(), kMib);
  state->Release(kMib);
  EXPECT_FALSE(state->Reserve(~std::uint64_t{0}, kMib));
  EXPECT_TRUE(state->Reserve(kMib, kMib));
  state->Detach();
  EXPECT_EQ(state->used_bytes(), 0U);
}

TEST(State, RacingProcessesShareOneDeviceExactly) {
  const Folder folder;
  constexpr int kProcesses = 6;
  constexpr std::uint64_t kBlocks = 600;  // of the device; each wants 200
  const Signal ready;
  const Signal done;
  Signal leave[kProcesses];
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(Spawn([&] {
      const auto state = Open(folder);
      if (!state->Attach()) return 255;
      ready.Give();
      int held = 0;
      for (int n = 0; n < 400; ++n) {  // takes two, gives one back: the sum swings
        if (!state->Reserve(kMib, kBlocks * kMib)) continue;
        ++held;
        if (n % 4 == 3) {
          state->Release(kMib);
          --held;
        }
      }
      while (held < 200 && state->Reserve(kMib, kBlocks * kMib)) ++held;
      done.Give();
      leave[i].Take();
      return held > 254 ? 254 : held;
    }));
  }
  for (int i = 0; i < kProcesses; ++i) ready.Take();
  for (int i = 0; i < kProcesses; ++i) done.Take();
  EXPECT_EQ(Open(folder)->used_bytes(), kBlocks * kMib) << "full, and not one byte more";
  for (const Signal& signal : leave) signal.Give();
  for (const pid_t child : children) EXPECT_NE(Await(child), 255);
}

TEST(State, AKilledProcessGivesItsMemoryBackBeforeItIsWaitedFor) {
  const Folder folder;
  const auto state = Open(folder);
  ASSERT_TRUE(state->Attach());
  const Signal ready;
  const pid_t child = Spawn([&] {
    const auto own = Open(folder);
    if (!own->Attach() || !own->Reserve(100, 100)) return 1;
    ready.Give();
    pause();
    return 0;
  });
  ready.Take();
  EXPECT_EQ(state->used_bytes(), 100U);
  ASSERT_EQ(state->Processes().size(), 2U);
  EXPECT_FALSE(state->Reserve(1, 100));
  kill(child, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);  // a zombie
  EXPECT_EQ(state->used_bytes(), 0U);
  EXPECT_EQ(state->Processes().size(), 1U);
  EXPECT_TRUE(state->Reserve(100, 100));
  Await(child);
}

TEST(State, AProcessKilledInTheMiddleLeavesNoLock) {
  const Folder folder;
  const auto state = Open(folder);
  ASSERT_TRUE(state->Attach());
  for (int round = 0; round < 20; ++round) {
    const Signal ready;
    const pid_t child = Spawn([&] {
      const auto own = Open(folder);
      if (!own->Attach()) return 1;
      ready.Give();
      while (true) {
        own->Reserve(10, 1000);
        own->Release(10);
      }
    });
    ready.Take();
    kill(child, SIGKILL);
    Await(child);
    EXPECT_TRUE(state->Reserve(1000, 1000));
    state->Release(1000);
  }
}

TEST(State, ManyProcessesCanMakeTheFileAtOnce) {
  const Folder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(Spawn([&] {
      const auto state = Open(folder);
      return state->Attach() && state->Reserve(1, 8) ? 0 : 1;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(Await(child), 0);
  EXPECT_EQ(Open(folder)->used_bytes(), 0U);
}

TEST(State, RefusesAFileThatIsNoState) {
  const Folder folder;
  folder.Write(kUuid, "something else");
  const auto short_file = DeviceState::Open(folder.path(), kUuid);
  ASSERT_FALSE(short_file);
  EXPECT_NE(short_file.error().message.find("not of this version"), std::string::npos);
  folder.Write(kUuid, std::string(sizeof(DeviceFile), 'x'));
  EXPECT_FALSE(DeviceState::Open(folder.path(), kUuid));
  EXPECT_FALSE(DeviceState::Open(folder.path() + "/none", kUuid));
}

TEST(State, GpuTimeOfTheLastSecondIsAShare) {
  Slot slot{};
  const std::uint64_t start = 100 * kBucketNs;
  for (int i = 1; i <= 20; ++i) {  // half busy for two seconds
    AddGpuTime(slot, kBucketNs / 2, start + static_cast<std::uint64_t>(i) * kBucketNs - 1);
  }
  const std::uint64_t end = start + 20 * kBucketNs;
  EXPECT_NEAR(RecentShare(slot, end), 0.5, 0.01);
  EXPECT_NEAR(RecentShare(slot, end + 5 * kBucketNs), 0.25, 0.01);
  EXPECT_EQ(RecentShare(slot, end + 100 * kBucketNs), 0.0);
  EXPECT_EQ(slot.gpu_ns.load(), 10 * kBucketNs);
}

TEST(State, ALongKernelFillsTheBucketsItRanIn) {
  Slot slot{};
  const std::uint64_t end = 200 * kBucketNs;
  AddGpuTime(slot, 10 * kBucketNs, end - 1);
  EXPECT_NEAR(RecentShare(slot, end), 1.0, 0.01);
}

TEST(ProcessIdTest, TellsTheLivingFromTheDead) {
  EXPECT_TRUE(IsAlive(Self()));
  EXPECT_EQ(PidOf(Self()), getpid());
  EXPECT_FALSE(IsAlive(MakeProcessId(getpid(), 1))) << "another start time is another process";
  const pid_t child = Spawn([] { return 0; });
  Await(child);
  EXPECT_FALSE(IsAlive(MakeProcessId(child, 0)));
}

TEST(ProcessIdTest, AProcessWhoseFirstThreadHasEndedLives) {
  const Signal gone;
  const Signal leave;
  const pid_t child = Spawn([&] {
    std::thread([&] {
      gone.Give();
      leave.Take();
      _exit(0);
    }).detach();
    syscall(60, 0);  // SYS_exit: this thread alone
    return 0;
  });
  gone.Take();
  bool alive = false;
  {
    const Folder folder;  // the id as the process itself would make it
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    std::string field;
    for (int i = 3; i <= 22; ++i) fields >> field;
    alive = IsAlive(MakeProcessId(child, std::stoull(field)));
  }
  EXPECT_TRUE(alive);
  leave.Give();
  Await(child);
}

}  // namespace
}  // namespace tessera::sim::gpu
