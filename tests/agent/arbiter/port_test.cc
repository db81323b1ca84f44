// The arbiter's door to regions, and files that tenants may put there instead.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "agent/arbiter/region_port.h"
#include "interceptor/region/grant.h"
#include "interceptor/region/region.h"
#include "tests/interceptor/temp_dir.h"

namespace tessera::agent {
namespace {

constexpr const char* kGpu = "GPU-1";
constexpr std::uint64_t kMs = 1'000'000;

std::vector<region::DeviceConfig> TwoGpus() {
  std::vector<region::DeviceConfig> devices(2);
  strcpy(devices[0].uuid, "GPU-0");
  strcpy(devices[1].uuid, kGpu);
  for (auto& device : devices) device.limit_bytes = 1 << 30;
  return devices;
}

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Port : public ::testing::Test {
 protected:
  void Attach(region::Region& region) {
    ASSERT_EQ(region.Attach(folder_.path().c_str(), TwoGpus(), region::Policy::kBurstShare),
              nullptr);
  }
  std::string path() const { return folder_.File("region"); }
  /// Looks `ns` later.
  RegionPort::Demand After(std::uint64_t ns) {
    now_ += ns;
    return port_.Look(now_);
  }
  /// No file of that content is a region.
  void ExpectRefused(const std::string& contents) {
    folder_.Write("region", contents);
    EXPECT_FALSE(After(1'000 * kMs).attached);
    EXPECT_FALSE(port_.Tell({.open_until_ns = 1}, now_));
    EXPECT_EQ(Contents(path()), contents);
  }
  /// A whole region as a container leaves it.
  std::string Whole() {
    {
      region::Region region;
      Attach(region);
      region.ForgetAfterFork();
    }
    std::string whole = Contents(path());
    std::filesystem::remove(path());
    return whole;
  }

  test::TempDir folder_;
  std::uint64_t now_ = 10'000 * kMs;
  RegionPort port_{folder_.File("region"), kGpu};
};

TEST_F(Port, SeesWhatTheContainerWantsOfThatGpu) {
  EXPECT_FALSE(After(0).attached);
  region::Region region;
  Attach(region);
  EXPECT_TRUE(After(200 * kMs).attached) << "the file may come later";
  region.SetWaiting(0, region::WaitsFor::kWindow);
  EXPECT_FALSE(After(kMs).wanting) << "another GPU";
  region.SetWaiting(1, region::WaitsFor::kWindow);
  EXPECT_TRUE(After(kMs).wanting);
  EXPECT_FALSE(After(kMs).running);
  region.SetWaiting(1, region::WaitsFor::kNothing);
  region.SetRunning(1, true);
  EXPECT_FALSE(After(kMs).wanting);
  EXPECT_TRUE(After(kMs).running);
  EXPECT_FALSE(After(kMs).held);
  region.SetWaiting(1, region::WaitsFor::kShare);
  region.Pace(1).used_ns.store(4711);
  region.Pace(1).throttled_ns.store(12);
  region.Pace(0).used_ns.store(1);
  region.Pace(1).ended_launches.store(34);
  region.Pace(1).shallow_launches.store(5);
  EXPECT_TRUE(After(kMs).held);
  EXPECT_FALSE(After(kMs).wanting);
  EXPECT_EQ(After(kMs).used_ns, 4711U);
  EXPECT_EQ(After(kMs).throttled_ns, 12U);
  EXPECT_EQ(After(kMs).launches, 34U);
  EXPECT_EQ(After(kMs).shallow_launches, 5U);
  region.SetWaiting(1, region::WaitsFor::kWindow);
  EXPECT_FALSE(After(kMs).held);
}

TEST_F(Port, TellsTheContainerAndWritesNothingElse) {
  region::Region region;
  Attach(region);
  ASSERT_TRUE(After(0).attached);
  const std::string before = Contents(path());
  ASSERT_TRUE(
      port_.Tell({.open_until_ns = now_ + kMs, .likely_open_ns = 7, .work_permille = 432}, now_));
  const region::GrantView view = region::ReadGrant(region.Grant(1), now_);
  EXPECT_TRUE(view.valid && view.IsOpen(now_));
  EXPECT_EQ(view.open_until_ns, now_ + kMs);
  EXPECT_EQ(view.likely_open_ns, 7U);
  EXPECT_EQ(view.work_permille, 432U);
  EXPECT_FALSE(region::ReadGrant(region.Grant(0), now_).valid);
  std::string after = Contents(path());
  const std::size_t at =
      offsetof(region::Layout, devices) + sizeof(region::Device) + offsetof(region::Device, grant);
  EXPECT_NE(after, before);
  after.replace(at, sizeof(region::Grant), before.substr(at, sizeof(region::Grant)));
  EXPECT_EQ(after, before);
}

TEST_F(Port, TheHeartbeatIsRenewedInTimeAndNotAtEachLook) {
  region::Region region;
  Attach(region);
  ASSERT_TRUE(After(0).attached);
  const TenantGrant grant{.open_until_ns = region::kOpenForAll};
  const std::uint64_t first = now_;
  for (int i = 0; i < 200; ++i) {
    After(kMs);
    ASSERT_TRUE(port_.Tell(grant, now_));
    const std::uint64_t beat = region.Grant(1).heartbeat_ns.load();
    EXPECT_LE(now_ - beat, 15 * kMs);
    EXPECT_TRUE(i >= 15 || beat == first + kMs) << i;
  }
  ASSERT_TRUE(port_.Tell({.open_until_ns = 0}, now_));
  EXPECT_EQ(region.Grant(1).open_until_ns.load(), 0U) << "another grant is written at once";
}

TEST_F(Port, BitsOfDeadProcessesDoNotCount) {
  const pid_t child = fork();
  if (child == 0) {
    region::Region region;
    const char* const problem =
        region.Attach(folder_.path().c_str(), TwoGpus(), region::Policy::kBurstShare);
    if (problem == nullptr) region.SetRunning(1, true);
    if (problem == nullptr) region.SetWaiting(1, region::WaitsFor::kWindow);
    pause();
    _exit(0);
  }
  RegionPort::Demand demand;
  for (int i = 0; i < 2000 && !(demand.running && demand.wanting); ++i) {
    usleep(1000);
    demand = After(200 * kMs);
  }
  EXPECT_TRUE(demand.running && demand.wanting) << "alive";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  demand = After(50 * kMs);
  EXPECT_TRUE(demand.attached);
  EXPECT_FALSE(demand.running || demand.wanting);
  // The next process may get the same slot.
  region::Region region;
  Attach(region);
  region.SetWaiting(1, region::WaitsFor::kWindow);
  EXPECT_TRUE(After(50 * kMs).wanting);
}

TEST_F(Port, FilesThatAreNoRegionAreLeftAlone) {
  const std::string whole = Whole();
  ExpectRefused("");
  ExpectRefused("short");
  ExpectRefused(whole.substr(0, whole.size() - 1));
  ExpectRefused(whole + "x");
  ExpectRefused(std::string(whole.size(), '\0'));
  ExpectRefused(std::string(whole.size(), '\xff'));
  for (const std::size_t at : {offsetof(region::Header, magic), offsetof(region::Header, version),
                               offsetof(region::Header, size), std::size_t{15},
                               offsetof(region::Header, device_count) + 3}) {
    std::string other = whole;
    other[at] = static_cast<char>(other[at] + 1);
    ExpectRefused(other);
  }
  std::string other = whole;
  other[offsetof(region::Layout, devices) + sizeof(region::Device)] = 'X';
  ExpectRefused(other);
  folder_.Write("region", whole);
  EXPECT_TRUE(After(1'000 * kMs).attached) << "the whole one is none of those";
}

TEST_F(Port, NoLinkDeviceFolderOrPipeIsFollowed) {
  const std::string whole = Whole();
  folder_.Write("elsewhere", whole);
  std::filesystem::create_symlink(folder_.File("elsewhere"), path());
  EXPECT_FALSE(After(1'000 * kMs).attached);
  std::filesystem::remove(path());
  std::filesystem::create_directory(path());
  EXPECT_FALSE(After(1'000 * kMs).attached);
  std::filesystem::remove(path());
  ASSERT_EQ(mkfifo(path().c_str(), 0666), 0);
  EXPECT_FALSE(After(1'000 * kMs).attached);
  std::filesystem::remove(path());
  if (mknod(path().c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0) {  // /dev/zero; root only
    EXPECT_FALSE(After(1'000 * kMs).attached);
  }
  EXPECT_EQ(Contents(folder_.File("elsewhere")), whole);
}

TEST_F(Port, ALeaseOnTheFileHoldsNobodyUp) {
  folder_.Write("region", Whole());
  signal(SIGIO, SIG_IGN);
  const int fd = open(path().c_str(), O_RDWR);
  ASSERT_GE(fd, 0);
  if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) GTEST_SKIP() << "no leases here";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(After(0).attached);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  close(fd);
  EXPECT_TRUE(After(200 * kMs).attached);
}

TEST_F(Port, AFileThatIsCutOffIsGoneAtTheNextLook) {
  region::Region region;
  Attach(region);
  ASSERT_TRUE(After(0).attached);
  ASSERT_EQ(truncate(path().c_str(), 100), 0);
  EXPECT_FALSE(After(kMs).attached);
  EXPECT_FALSE(port_.Tell({}, now_));
  EXPECT_FALSE(After(1'000 * kMs).attached);
}

TEST_F(Port, AFileThatWasReplacedIsNoticedWithinASecond) {
  region::Region old;
  Attach(old);
  old.SetWaiting(1, region::WaitsFor::kWindow);
  ASSERT_TRUE(After(0).wanting);
  After(499 * kMs);
  ASSERT_TRUE(port_.Tell({.open_until_ns = 5}, now_));
  std::filesystem::remove(path());
  region::Region fresh;
  Attach(fresh);
  EXPECT_FALSE(After(2 * kMs).wanting);
  ASSERT_TRUE(port_.Tell({.open_until_ns = 5}, now_));
  EXPECT_EQ(fresh.Grant(1).open_until_ns.load(), 5U) << "a new file is told at once";
  std::filesystem::remove(path());
  EXPECT_FALSE(After(1'000 * kMs).attached);
}

TEST_F(Port, WordsFullOfOnesAreNobody) {
  region::Region region;
  Attach(region);
  const int fd = open(path().c_str(), O_RDWR);
  const std::string ones(32, '\xff');
  const off_t at =
      offsetof(region::Layout, devices) + sizeof(region::Device) + offsetof(region::Device, demand);
  ASSERT_EQ(pwrite(fd, ones.data(), ones.size(), at), static_cast<ssize_t>(ones.size()));
  close(fd);
  const RegionPort::Demand demand = After(0);
  EXPECT_TRUE(demand.wanting && demand.running) << "slot 0 lives";
  region.ForgetAfterFork();  // drops the slot's lock
  EXPECT_FALSE(After(50 * kMs).wanting);
  EXPECT_FALSE(After(kMs).running);
}

}  // namespace
}  // namespace tessera::agent
