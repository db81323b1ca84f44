// The region where its surroundings are hostile: a full folder, a program that closes descriptors
// which it does not know, somebody else's /proc.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interceptor/region/region.h"
#include "tests/interceptor/children.h"
#include "tests/interceptor/temp_dir.h"

namespace tessera::region {
namespace {

using test::Fork;
using test::Shared;
using test::TempDir;
using test::Wait;

constexpr std::uint64_t kLimit = 1'000'000;
constexpr int kSkipped = 77;
using Text = std::array<char, 200>;

std::vector<DeviceConfig> OneDevice() {
  DeviceConfig config;
  strcpy(config.uuid, "GPU-a");
  config.limit_bytes = kLimit;
  return {config};
}

const char* Attach(Region& region, const TempDir& dir) {
  return region.Attach(dir.path().c_str(), OneDevice(), Policy::kFixedShare);
}

/// The descriptor of `path` in this process, or -1.
int FindFd(const std::string& path) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    if (std::filesystem::read_symlink(entry.path(), ignored) == path) {
      return std::stoi(entry.path().filename());
    }
  }
  return -1;
}

bool SameFile(int fd, const struct stat& file) {
  struct stat info = {};
  return fstat(fd, &info) == 0 && info.st_dev == file.st_dev && info.st_ino == file.st_ino;
}

void WriteFile(const char* path, const std::string& text) { std::ofstream(path) << text; }

/// Mounts of one's own, as root or, where that is allowed, as anybody.
bool UnshareMounts() {
  const std::string user = std::to_string(getuid());
  const std::string group = std::to_string(getgid());
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    WriteFile("/proc/self/setgroups", "deny");
    WriteFile("/proc/self/uid_map", "0 " + user + " 1");
    WriteFile("/proc/self/gid_map", "0 " + group + " 1");
  }
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

TEST(RegionSurroundings, AFullFolderIsRefusedAndEndsNobody) {
  for (const char* size : {"size=4k", "size=8k", "size=200k"}) {
    SCOPED_TRACE(size);
    TempDir dir;
    Shared<Text> problem;
    const int status = Wait(Fork([&] {
      if (!UnshareMounts()) _exit(kSkipped);
      if (mount("tmpfs", dir.path().c_str(), "tmpfs", 0, size) != 0) _exit(kSkipped);
      Region region;
      const char* why = Attach(region, dir);
      strncpy(problem->data(), why == nullptr ? "" : why, problem->size() - 1);
      _exit(std::filesystem::is_empty(dir.path()) ? 0 : 1);
    }));
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    if (WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "may not mount";
    EXPECT_EQ(WEXITSTATUS(status), 0) << "something was left behind";
    EXPECT_THAT(problem->data(), testing::HasSubstr("full"));
  }
}

TEST(RegionSurroundings, AReadOnlyFolderIsRefused) {
  TempDir dir;
  Shared<Text> problem;
  const int status = Wait(Fork([&] {
    if (!UnshareMounts()) _exit(kSkipped);
    if (mount("tmpfs", dir.path().c_str(), "tmpfs", MS_RDONLY, nullptr) != 0) _exit(kSkipped);
    Region region;
    const char* why = Attach(region, dir);
    strncpy(problem->data(), why == nullptr ? "" : why, problem->size() - 1);
  }));
  if (WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "may not mount";
  EXPECT_THAT(problem->data(), testing::HasSubstr("read-only"));
}

TEST(RegionSurroundings, ADescriptorThatTheProgramReusedIsNotTouched) {
  TempDir dir;
  const int status = Wait(Fork([&] {
    Region region;
    if (Attach(region, dir) != nullptr) _exit(1);
    const int fd = FindFd(dir.File("region"));
    // As a daemon does: closes all, opens its own.
    const int own = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct stat file = {};
    if (fd < 0 || fstat(own, &file) != 0 || dup2(own, fd) != fd) _exit(2);
    if (region.Reserve(0, kLimit + 1, kLimit + 1) != Outcome::kDone) _exit(3);
    region.ForgetAfterFork();
    _exit(SameFile(fd, file) ? 0 : 4);
  }));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(RegionSurroundings, WithoutItsDescriptorAProcessBelievesTheOthersAlive) {
  TempDir dir;
  const int status = Wait(Fork([&] {
    Region region;
    if (Attach(region, dir) != nullptr) _exit(1);
    const int fd = FindFd(dir.File("region"));
    Mapping other = MapRegion(dir.path().c_str(), OneDevice());
    const std::size_t slot = 5;
    if (LockSlot(other.fd, slot) != SlotLock::kLocked) _exit(2);
    other.file->owners[slot].identity = PackIdentity(1, 1);
    other.file->owners[slot].pid_namespace = Self().pid_namespace + 1;
    Add(*other.file, slot, 0, kLimit, kLimit);
    // Another file, on which nobody holds a lock, under the number.
    const int own = open(dir.File("other").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (own < 0 || fd < 0 || dup2(own, fd) != fd) _exit(3);
    _exit(region.Reserve(0, 1, kLimit) == Outcome::kOverLimit ? 0 : 4);
  }));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(RegionSurroundings, TheSameNumbersInAnotherPidNamespaceAreSomebodyElse) {
  TempDir dir;
  Mapping other = MapRegion(dir.path().c_str(), OneDevice());
  ASSERT_EQ(LockSlot(other.fd, 5), SlotLock::kLocked);
  const ProcessIdentity self = Self();
  other.file->owners[5].identity = self.identity;
  other.file->owners[5].pid_namespace = self.pid_namespace + 1;
  ASSERT_EQ(Add(*other.file, 5, 0, kLimit, kLimit), Outcome::kDone);
  Region region;
  ASSERT_EQ(Attach(region, dir), nullptr);
  EXPECT_EQ(region.Reserve(0, 1, kLimit), Outcome::kOverLimit) << "two sandboxes, started at once";
  UnlockSlot(other.fd, 5);
  EXPECT_EQ(region.Reserve(0, 1, kLimit), Outcome::kDone);
  Unmap(other);
}

TEST(RegionSurroundings, WithSomebodyElsesProcOnlyTheLockSpeaks) {
  const int status = Wait(Fork([] {
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) _exit(kSkipped);
    // The child is number 1 of a namespace of its own, and /proc still tells of the old one.
    const int inner = Wait(fork() == 0 ? (_exit(Self().pid_namespace == 0 ? 0 : 1), 0) : -1);
    _exit(WEXITSTATUS(inner));
  }));
  if (WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "may not make a pid namespace";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(RegionSurroundings, WhereFewDescriptorsAreAllowedStandardStreamsAreLeftAlone) {
  TempDir dir;
  const int status = Wait(Fork([&] {
    const rlimit few = {100, 100};
    setrlimit(RLIMIT_NOFILE, &few);
    close(STDERR_FILENO);
    Region region;
    if (Attach(region, dir) != nullptr) _exit(1);
    _exit(FindFd(dir.File("region")) > STDERR_FILENO ? 0 : 2);
  }));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace tessera::region
