#include "sim/cuda/engine.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/gpu/folder.h"
#include "tests/sim/gpu/shared_run.h"

namespace tessera::sim::cuda {
namespace {

using gpu::NowNs;

constexpr std::uint64_t kMs = 1'000'000;

std::unique_ptr<gpu::DeviceState> Open(const gpu::Folder& folder) {
  auto state = gpu::DeviceState::Open(folder.path(), "GPU-00000000-0000-4000-8000-000000000000");
  EXPECT_TRUE(state);
  EXPECT_TRUE((*state)->Attach());
  return *std::move(state);
}

struct Fixture {
  gpu::Folder folder;
  std::unique_ptr<gpu::DeviceState> state = Open(folder);
  Engine engine{*state, 0};
  ~Fixture() { engine.Stop(); }
};

double Milliseconds(std::uint64_t from_ns) {
  return static_cast<double>(NowNs() - from_ns) / static_cast<double>(kMs);
}

TEST(EngineTest, KernelsRunOneAfterTheOtherAndTakeTheirTime) {
  Fixture f;
  const std::uint64_t start = NowNs();
  for (int i = 0; i < 100; ++i) f.engine.Submit({.gpu_ns = kMs / 2});
  EXPECT_LT(Milliseconds(start), 40) << "a launch does not wait";
  f.engine.Wait(f.engine.last());
  EXPECT_GE(Milliseconds(start), 50);
  EXPECT_EQ(f.state->own()->gpu_ns.load() / kMs, 50U);
  EXPECT_EQ(f.state->own()->kernels.load(), 100U);
}

TEST(EngineTest, AWorkerThatWakesLateLosesNoGpuTime) {
  Fixture f;
  std::uint64_t end = 0;
  const std::uint64_t start = NowNs();
  for (int i = 0; i < 1000; ++i) f.engine.Submit({.gpu_ns = 10'000});
  f.engine.Submit({.action = [&](std::uint64_t end_ns, bool) { end = end_ns; }});
  f.engine.Wait(f.engine.last());
  // By the queue's own clock: 1000 times 10 us, plus what the submission lagged behind.
  EXPECT_GE(end - start, 10 * kMs);
  EXPECT_LT(end - start, 60 * kMs);
}

TEST(EngineTest, ActionsRunInOrderOfSubmission) {
  Fixture f;
  std::vector<int> order;
  f.engine.Submit({.action = [&](std::uint64_t, bool) { order.push_back(0); }});
  EXPECT_EQ(order.size(), 1U) << "an idle queue runs them at once";
  f.engine.Submit({.gpu_ns = 5 * kMs});
  for (int i = 1; i < 5; ++i) {
    f.engine.Submit({.action = [&order, i](std::uint64_t, bool) { order.push_back(i); }});
  }
  f.engine.Wait(f.engine.last());
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(EngineTest, AFullQueueBlocks) {
  Fixture f;
  const std::uint64_t start = NowNs();
  f.engine.Submit({.gpu_ns = 60 * kMs});
  for (std::size_t i = 0; i < Engine::kQueueLimit; ++i) f.engine.Submit({.gpu_ns = 1});
  f.engine.Submit({.gpu_ns = 1});  // finds no room before the first has ended
  EXPECT_GE(Milliseconds(start), 60);
  f.engine.Wait(f.engine.last());
}

TEST(EngineTest, AFaultSkipsWhatFollows) {
  Fixture f;
  const Fault fault = std::make_shared<std::atomic<int>>(0);
  bool skipped = false;
  const std::uint64_t start = NowNs();
  f.engine.Submit({.gpu_ns = kMs, .raises = 700, .fault = fault});
  f.engine.Submit({.gpu_ns = 60'000 * kMs, .fault = fault});
  f.engine.Submit({.fault = fault, .action = [&](std::uint64_t, bool s) { skipped = s; }});
  f.engine.Wait(f.engine.last());
  EXPECT_EQ(fault->load(), 700);
  EXPECT_TRUE(skipped);
  EXPECT_LT(Milliseconds(start), 10'000);
}

TEST(EngineTest, ARunningKernelEndsWithItsContext) {
  Fixture f;
  const Fault fault = std::make_shared<std::atomic<int>>(0);
  const std::uint64_t start = NowNs();
  f.engine.Submit({.gpu_ns = 60'000 * kMs, .fault = fault});
  fault->store(709);
  f.engine.Wait(f.engine.last());
  EXPECT_LT(Milliseconds(start), 10'000);
}

TEST(EngineTest, WaitersAreFreedWhenTheProcessEnds) {
  Fixture f;
  f.engine.Submit({.gpu_ns = 60'000 * kMs});
  std::thread waiter([&] { f.engine.Wait(f.engine.last()); });
  f.engine.Stop();
  waiter.join();
}

/// Runs `kernels` kernels of `ns` in a child, and sends back when.
struct Tenant {
  pid_t pid = 0;
  int ends[2]{};
  Tenant(const gpu::Folder& folder, int kernels, std::uint64_t ns, double loss, int start_fd) {
    EXPECT_EQ(pipe(ends), 0);
    pid = fork();
    if (pid != 0) return;
    const auto state = Open(folder);
    Engine engine(*state, loss);
    char byte = 0;
    if (read(start_fd, &byte, 1) != 1) _exit(1);
    Ran ran{.begin_ns = NowNs()};
    for (int i = 0; i < kernels; ++i) engine.Submit({.gpu_ns = ns});
    engine.Submit({.action = [&](std::uint64_t end_ns, bool) { ran.end_ns = end_ns; }});
    engine.Wait(engine.last());
    if (write(ends[1], &ran, sizeof(ran)) != sizeof(ran)) _exit(1);
    engine.Stop();
    state->Detach();
    _exit(0);
  }
  Ran Await() {
    Ran ran;
    EXPECT_EQ(read(ends[0], &ran, sizeof(ran)), static_cast<ssize_t>(sizeof(ran)));
    waitpid(pid, nullptr, 0);
    close(ends[0]);
    close(ends[1]);
    return ran;
  }
};

/// Returns when a process has had so much of the device.
void AwaitGpuTime(const gpu::Folder& folder, pid_t pid, std::uint64_t gpu_ns) {
  const auto state = Open(folder);
  const std::uint64_t deadline = NowNs() + 10'000 * kMs;
  while (NowNs() < deadline) {
    for (const gpu::ProcessUse& process : state->Processes()) {
      if (process.pid == pid && process.gpu_ns >= gpu_ns) return state->Detach();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FAIL() << "the process did not run";
}

struct Race {
  gpu::Folder folder;
  int start[2]{};
  Race() { EXPECT_EQ(pipe(start), 0); }
  ~Race() {
    close(start[0]);
    close(start[1]);
  }
  void Go(int tenants) {
    for (int i = 0; i < tenants; ++i) EXPECT_EQ(write(start[1], "x", 1), 1);
  }
};

TEST(EngineTest, TwoProcessesGetHalfEach) {
  Race race;
  Tenant one(race.folder, 200, kMs, 0, race.start[0]);
  Tenant two(race.folder, 40, 5 * kMs, 0, race.start[0]);
  race.Go(2);
  ExpectShared(one.Await(), 200, two.Await(), 200, 0.5);
}

TEST(EngineTest, TheOneThatGoesOnGetsAllAfterwards) {
  Race race;
  Tenant small(race.folder, 100, kMs, 0, race.start[0]);
  Tenant large(race.folder, 300, kMs, 0, race.start[0]);
  race.Go(2);
  ExpectShared(small.Await(), 100, large.Await(), 300, 0.5);
}

TEST(EngineTest, SharingCostsTheConfiguredLoss) {
  Race race;
  Tenant one(race.folder, 200, kMs, 0.2, race.start[0]);
  Tenant two(race.folder, 200, kMs, 0.2, race.start[0]);
  race.Go(2);
  ExpectShared(one.Await(), 200, two.Await(), 200, 0.4);
}

TEST(EngineTest, AKilledProcessLeavesItsShareToTheOthers) {
  Race race;
  Tenant victim(race.folder, 1000, 10 * kMs, 0, race.start[0]);
  Tenant other(race.folder, 1000, kMs, 0, race.start[0]);
  race.Go(2);
  AwaitGpuTime(race.folder, victim.pid, 30 * kMs);  // both run
  kill(victim.pid, SIGKILL);
  EXPECT_LT(other.Await().Milliseconds(), 1500) << "2000 if the killed one kept its half";
  waitpid(victim.pid, nullptr, 0);
}

TEST(EngineTest, AStoppedProcessLeavesItsShareToTheOthers) {
  Race race;
  Tenant victim(race.folder, 1000, 10 * kMs, 0, race.start[0]);
  Tenant other(race.folder, 1000, kMs, 0, race.start[0]);
  race.Go(2);
  AwaitGpuTime(race.folder, victim.pid, 30 * kMs);
  kill(victim.pid, SIGSTOP);
  EXPECT_LT(other.Await().Milliseconds(), 1500) << "2000 if the stopped one kept its half";
  kill(victim.pid, SIGKILL);
  waitpid(victim.pid, nullptr, 0);
}

}  // namespace
}  // namespace tessera::sim::cuda
