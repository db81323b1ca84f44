#include "interceptor/region/region.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/interceptor/children.h"
#include "tests/interceptor/temp_dir.h"

namespace tessera::region {
namespace {

using test::Fork;
using test::Kill;
using test::Shared;
using test::SpinUntil;
using test::TempDir;
using test::Wait;
using testing::HasSubstr;

constexpr std::uint64_t kLimit = 1'000'000;

DeviceConfig Config(const char* uuid, std::uint64_t limit = kLimit) {
  DeviceConfig config;
  strncpy(config.uuid, uuid, kUuidSize - 1);
  config.limit_bytes = limit;
  config.cores_percent = 50;
  return config;
}

const std::vector<DeviceConfig> kOne = {Config("GPU-a")};

/// A region of this process. On the heap: the real one is a global, too big for some stacks.
struct Attached {
  std::unique_ptr<Region> region = std::make_unique<Region>();
  const char* problem;
  explicit Attached(const TempDir& dir, const std::vector<DeviceConfig>& devices = kOne)
      : problem(region->Attach(dir.path().c_str(), devices, Policy::kFixedShare)) {}
  Region* operator->() const { return region.get(); }
};

/// The file as another program sees it.
struct View {
  Mapping mapping;
  explicit View(const TempDir& dir) : mapping(MapRegion(dir.path().c_str(), kOne)) {}
  ~View() { Unmap(mapping); }
  Layout& operator*() const { return *mapping.file; }
  Layout* operator->() const { return mapping.file; }
};

TEST(Region, ProcessesShareOneLimit) {
  TempDir dir;
  Attached mine(dir);
  ASSERT_EQ(mine.problem, nullptr);
  ASSERT_EQ(mine->Reserve(0, kLimit / 2, kLimit), Outcome::kDone);
  const pid_t child = Fork([&] {
    Attached theirs(dir);
    const bool half = theirs->Reserve(0, kLimit / 2, kLimit) == Outcome::kDone;
    const bool more = theirs->Reserve(0, 1, kLimit) == Outcome::kDone;
    theirs->Release(0, 10);
    _exit(half && !more ? 7 : 8);
  });
  EXPECT_EQ(WEXITSTATUS(Wait(child)), 7);
}

TEST(Region, TheSmallestFigureOfAContextStays) {
  TempDir dir;
  Attached mine(dir);
  EXPECT_EQ(mine->ContextBytes(0), 0u);
  mine->LearnContextBytes(0, 600);
  mine->LearnContextBytes(0, 0);
  mine->LearnContextBytes(0, 700);
  EXPECT_EQ(mine->ContextBytes(0), 600u);
  Wait(Fork([&] { Attached(dir)->LearnContextBytes(0, 500); }));
  EXPECT_EQ(mine->ContextBytes(0), 500u);
  EXPECT_EQ(mine->ContextBytes(1), 0u);
}

TEST(Region, AKilledProcessGivesBackAtOnce) {
  TempDir dir;
  Attached mine(dir);
  Shared<std::atomic<int>> ready;
  const pid_t child = Fork([&] {
    Attached theirs(dir);
    theirs->Reserve(0, kLimit, kLimit);
    *ready = 1;
    pause();
  });
  SpinUntil(*ready, 1);
  EXPECT_EQ(mine->Reserve(0, 1, kLimit), Outcome::kOverLimit);
  Kill(child);
  EXPECT_EQ(mine->Reserve(0, kLimit, kLimit), Outcome::kDone);
  EXPECT_EQ(mine->Total(0), kLimit);
}

TEST(Region, HostMemoryOfAKilledProcessIsGivenBackToo) {
  TempDir dir;
  Attached mine(dir);
  const std::size_t host = HostAccountOf(0);
  ASSERT_EQ(mine->Reserve(host, 10, kLimit), Outcome::kDone);
  Shared<std::atomic<int>> ready;
  const pid_t child = Fork([&] {
    Attached theirs(dir);
    theirs->Reserve(0, 7, kLimit);
    theirs->Reserve(host, kLimit - 10, kLimit);
    *ready = 1;
    pause();
  });
  SpinUntil(*ready, 1);
  EXPECT_EQ(mine->Reserve(host, 1, kLimit), Outcome::kOverLimit);
  EXPECT_EQ(mine->UseOf(host).lane_bytes, 10u);
  Kill(child);
  EXPECT_EQ(mine->Reserve(host, kLimit - 10, kLimit), Outcome::kDone);
  EXPECT_EQ(mine->Total(host), kLimit);
  EXPECT_EQ(mine->Total(0), 0u);
}

TEST(Region, WhatOneProcessFindsOfADeviceAllKnow) {
  TempDir dir;
  Attached mine(dir);
  EXPECT_FALSE(mine->IsUnfitForHostMemory(0));
  Wait(Fork([&] { Attached(dir)->MarkUnfitForHostMemory(0); }));
  EXPECT_TRUE(mine->IsUnfitForHostMemory(0));
  EXPECT_FALSE(mine->IsUnfitForHostMemory(1));
}

TEST(Region, AZombieHasGivenBackAlready) {
  TempDir dir;
  Attached mine(dir);
  const pid_t child = Fork([&] {
    Attached theirs(dir);
    theirs->Reserve(0, kLimit, kLimit);
  });
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);  // ended, not reaped
  EXPECT_EQ(mine->Reserve(0, kLimit, kLimit), Outcome::kDone);
  Wait(child);
}

TEST(Region, AttachReturnsWhatAnEarlierRunLeft) {
  TempDir dir;
  Wait(Fork([&] {
    Attached theirs(dir);
    theirs->Reserve(0, kLimit, kLimit);
  }));
  View view(dir);
  EXPECT_EQ(TotalBytes(*view, 0), kLimit);
  Attached mine(dir);
  EXPECT_EQ(mine->Total(0), 0u);
}

// The same process after exec has the same pid and start time, but not the memory.
TEST(Region, AnExecedProcessDoesNotKeepItsFormerCharge) {
  TempDir dir;
  Attached before(dir);
  ASSERT_EQ(before->Reserve(0, kLimit, kLimit), Outcome::kDone);
  Attached after(dir);
  EXPECT_EQ(after->Total(0), 0u);
}

TEST(Region, OwnersOfOtherPidNamespacesAreJudgedByTheirLock) {
  TempDir dir;
  Attached mine(dir);
  View view(dir);
  // An owner whose numbers mean nothing here: pid 1 lives in every namespace, pid 4000000 in none.
  for (const std::uint64_t pid : {std::uint64_t{1}, std::uint64_t{4'000'000}}) {
    SCOPED_TRACE(pid);
    const std::size_t slot = 77;
    const int fd = open(dir.File("region").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_EQ(LockSlot(fd, slot), SlotLock::kLocked);
    view->owners[slot].identity = PackIdentity(pid, 12345);
    view->owners[slot].pid_namespace = 42;
    ASSERT_EQ(Add(*view, slot, 0, kLimit, kLimit), Outcome::kDone);
    EXPECT_EQ(mine->Reserve(0, 1, kLimit), Outcome::kOverLimit) << "its lock is held: it lives";
    close(fd);
    EXPECT_EQ(mine->Reserve(0, kLimit, kLimit), Outcome::kDone) << "its lock is gone: it is dead";
    EXPECT_EQ(view->owners[slot].identity, 0u);
    mine->Release(0, kLimit);
  }
}

TEST(Region, AReusedPidIsNotItsFormerOwner) {
  TempDir dir;
  Attached mine(dir);
  View view(dir);
  const ProcessIdentity self = Self();
  const std::size_t slot = 5;
  view->owners[slot].identity =
      PackIdentity(static_cast<std::uint64_t>(getppid()), StartTicksOf(self.identity) + 1);
  view->owners[slot].pid_namespace = self.pid_namespace;
  ASSERT_EQ(Add(*view, slot, 0, kLimit, kLimit), Outcome::kDone);
  EXPECT_EQ(mine->Reserve(0, 1, kLimit), Outcome::kDone);
}

TEST(Region, AForkedChildStartsAnew) {
  TempDir dir;
  Attached mine(dir);
  ASSERT_EQ(mine->Reserve(0, kLimit / 2, kLimit), Outcome::kDone);
  const pid_t child = Fork([&] {
    mine->ForgetAfterFork();
    if (mine->attached()) _exit(1);
    if (mine->Attach(dir.path().c_str(), kOne, Policy::kFixedShare) != nullptr) _exit(2);
    if (mine->Total(0) != kLimit / 2) _exit(3);
    if (mine->Reserve(0, kLimit / 2, kLimit) != Outcome::kDone) _exit(4);
    mine->Release(0, kLimit);  // no more than its own
    _exit(mine->Total(0) == kLimit / 2 ? 0 : 5);
  });
  EXPECT_EQ(WEXITSTATUS(Wait(child)), 0);
  EXPECT_EQ(mine->Total(0), kLimit / 2);
}

TEST(Region, RefusesWhatIsNotItsFile) {
  struct Case {
    const char* name;
    void (*spoil)(const std::string& path);
    const char* want;
  };
  const Case cases[] = {
      {"truncated", [](const std::string& p) { ASSERT_EQ(truncate(p.c_str(), 100), 0); }, "size"},
      {"empty", [](const std::string& p) { ASSERT_EQ(truncate(p.c_str(), 0), 0); }, "size"},
      {"oversized", [](const std::string& p) { ASSERT_EQ(truncate(p.c_str(), 1 << 30), 0); },
       "size"},
      {"no magic",
       [](const std::string& p) {
         const int fd = open(p.c_str(), O_WRONLY);
         ASSERT_EQ(pwrite(fd, "XX", 2, 0), 2);
         close(fd);
       },
       "damaged"},
      {"next version",
       [](const std::string& p) {
         const int fd = open(p.c_str(), O_WRONLY);
         const std::uint32_t next = kVersion + 1;
         ASSERT_EQ(pwrite(fd, &next, sizeof(next), 8), 4);
         close(fd);
       },
       "version"},
      {"a link",
       [](const std::string& p) {
         std::filesystem::rename(p, p + "2");
         std::filesystem::create_symlink(p + "2", p);
       },
       "opened"},
      {"a pipe",
       [](const std::string& p) {
         std::filesystem::remove(p);
         ASSERT_EQ(mkfifo(p.c_str(), 0666), 0);
       },
       "size"},
      {"a folder",
       [](const std::string& p) {
         std::filesystem::remove(p);
         std::filesystem::create_directory(p);
       },
       "opened"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    TempDir dir;
    { View make(dir); }
    c.spoil(dir.File("region"));
    Attached mine(dir);
    ASSERT_NE(mine.problem, nullptr);
    EXPECT_THAT(mine.problem, HasSubstr(c.want));
    EXPECT_FALSE(mine->attached());
  }
}

TEST(Region, RefusesARegionOfOtherDevices) {
  TempDir dir;
  { Attached mine(dir); }
  EXPECT_THAT(Attached(dir, {Config("GPU-b")}).problem, HasSubstr("other devices"));
  EXPECT_THAT(Attached(dir, {Config("GPU-a"), Config("GPU-b")}).problem,
              HasSubstr("other devices"));
  EXPECT_EQ(Attached(dir, {Config("GPU-a", 5)}).problem, nullptr) << "another limit is a resize";
}

TEST(Region, RefusesAFolderThatIsNotThere) {
  Region region;
  EXPECT_NE(region.Attach("/nonexistent/tessera", kOne, Policy::kFixedShare), nullptr);
}

TEST(Region, RacingFirstProcessesAgreeOnOneFile) {
  for (int round = 0; round < 20; ++round) {
    TempDir dir;
    Shared<std::atomic<int>> ready;
    Shared<std::atomic<int>> attached;
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      children.push_back(Fork([&] {
        ++*ready;
        SpinUntil(*ready, 4);
        Attached theirs(dir);
        if (theirs->Reserve(0, 10, kLimit) != Outcome::kDone) _exit(1);
        ++*attached;
        SpinUntil(*attached, 4);
        _exit(theirs->Total(0) == 40 ? 0 : 2);
      }));
    }
    for (const pid_t child : children) EXPECT_EQ(WEXITSTATUS(Wait(child)), 0);
    int files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      ++files;
    }
    EXPECT_EQ(files, 1) << "no half-made file may stay";
  }
}

TEST(Region, AFullTableRefusesInsteadOfRunningUnlimited) {
  TempDir dir;
  View view(dir);
  const ProcessIdentity self = Self();
  for (std::size_t slot = 0; slot < kMaxProcesses; ++slot) {
    view->owners[slot].identity = PackIdentity(1, 1);
    view->owners[slot].pid_namespace = self.pid_namespace + 1;
    ASSERT_EQ(LockSlot(view.mapping.fd, slot), SlotLock::kLocked);
  }
  EXPECT_THAT(Attached(dir).problem, HasSubstr("slot"));
  UnlockSlot(view.mapping.fd, 3);
  EXPECT_EQ(Attached(dir).problem, nullptr);
}

TEST(Region, RacingThreadsFillTheLimitExactly) {
  TempDir dir;
  Attached mine(dir);
  std::atomic<std::uint64_t> got = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        while (mine->Reserve(0, 997, 300'007) == Outcome::kDone) got += 997;
        while (mine->Reserve(0, 1, 300'007) == Outcome::kDone) got += 1;
      });
    }
  }
  EXPECT_EQ(got, 300'007u);
  EXPECT_EQ(mine->Total(0), 300'007u);
}

TEST(Region, CountersSurviveTheirProcess) {
  TempDir dir;
  for (int i = 0; i < 3; ++i) {
    Wait(Fork([&] {
      Attached theirs(dir);
      theirs->CountLaunch(0);
      theirs->CountDenied(0);
    }));
  }
  View view(dir);
  std::uint64_t launches = 0;
  std::uint64_t denied = 0;
  for (const auto& slot : view->lanes) {
    launches += slot[0].launches;
    denied += slot[0].denied;
  }
  EXPECT_EQ(launches, 3u);
  EXPECT_EQ(denied, 3u);
}

TEST(Region, ThreadsCountInWordsOfTheirOwn) {
  TempDir dir;
  Attached mine(dir);
  mine->CountLaunch(0);
  for (std::size_t i = 0; i < kCountingThreads; ++i) mine->ThreadLaunches(0, i).store(10);
  View view(dir);
  EXPECT_EQ(Launches(view->lanes[0][0]), 1 + 10 * kCountingThreads);
}

TEST(Region, KnowsOwnersByTheirPidInThisNamespaceAlone) {
  TempDir dir;
  Attached mine(dir);
  Shared<std::atomic<int>> ready;
  const pid_t child = Fork([&] {
    Attached theirs(dir);
    theirs->Reserve(0, 4096, kMaxBytes);
    *ready = 1;
    pause();
  });
  SpinUntil(*ready, 1);
  const auto slot = mine->SlotOfPid(static_cast<std::uint64_t>(child));
  ASSERT_TRUE(slot);
  EXPECT_EQ(mine->BytesOfSlot(*slot, 0), 4096u);
  EXPECT_TRUE(mine->SlotOfPid(static_cast<std::uint64_t>(getpid())));
  EXPECT_FALSE(mine->SlotOfPid(1));
  EXPECT_FALSE(mine->SlotOfPid(0)) << "the pid of free slots";
  View view(dir);
  for (const std::uint64_t elsewhere : {std::uint64_t{0}, std::uint64_t{4711}}) {
    view->owners[*slot].pid_namespace.store(elsewhere);
    EXPECT_FALSE(mine->SlotOfPid(static_cast<std::uint64_t>(child)));
  }
  Kill(child);
}

// --- Processes killed at random instructions ----------------------------------------------------
struct Board {
  std::atomic<int> ready;
  std::atomic<int> stop;
  std::atomic<int> stopped;
  std::atomic<std::uint64_t> held[4];
};

[[noreturn]] void Churn(const TempDir& dir, Board& board, int me, unsigned seed) {
  Attached mine(dir);
  std::mt19937 random(seed);
  std::uint64_t held = 0;
  ++board.ready;
  while (board.stop == 0) {
    const std::uint64_t bytes = random() % 60'000;
    if (random() % 2 == 0) {
      if (mine->Reserve(0, bytes, kLimit) == Outcome::kDone) held += bytes;
    } else {
      const std::uint64_t back = std::min(bytes, held);
      mine->Release(0, back);
      held -= back;
    }
  }
  board.held[me] = held;
  ++board.stopped;
  for (;;) pause();
}

TEST(Region, KillsAtRandomMomentsNeverLoseOrDoubleAByte) {
  std::mt19937 random(2026);
  TempDir dir;  // one region for all rounds: what a round leaves behind, the next one meets
  Attached judge(dir);
  for (int round = 0; round < 150; ++round) {
    Shared<Board> board;
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      const unsigned seed = static_cast<unsigned>(random());
      children.push_back(Fork([&, i, seed] { Churn(dir, *board, i, seed); }));
    }
    SpinUntil(board->ready, 4);
    usleep(static_cast<useconds_t>(random() % 300));
    kill(children[0], SIGKILL);
    usleep(static_cast<useconds_t>(random() % 100));
    kill(children[1], SIGKILL);
    Wait(children[0]);
    Wait(children[1]);
    board->stop = 1;
    SpinUntil(board->stopped, 2);
    judge->Reap();
    ASSERT_EQ(judge->Total(0), board->held[2] + board->held[3]) << "round " << round;
    ASSERT_LE(judge->Total(0), kLimit);
    Kill(children[2]);
    Kill(children[3]);
    judge->Reap();
    ASSERT_EQ(judge->Total(0), 0u) << "round " << round;
  }
}

}  // namespace
}  // namespace tessera::region
