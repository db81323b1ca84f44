#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <functional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interceptor/region/reader.h"
#include "interceptor/region/region.h"
#include "tests/interceptor/children.h"
#include "tests/interceptor/temp_dir.h"

namespace tessera::region {
namespace {

using test::Fork;
using test::Kill;
using test::Shared;
using test::SpinUntil;
using test::TempDir;
using testing::HasSubstr;

constexpr std::uint64_t kLimit = 1 << 20;

DeviceConfig Config(const char* uuid, std::uint64_t limit) {
  DeviceConfig config;
  strncpy(config.uuid, uuid, kUuidSize - 1);
  config.limit_bytes = limit;
  config.cores_percent = 30;
  return config;
}

const std::vector<DeviceConfig> kTwo = {Config("GPU-a", kLimit), Config("GPU-b", 2 * kLimit)};

/// A region with this process in it, and its file.
class RegionReader : public testing::Test {
 protected:
  RegionReader() {
    EXPECT_EQ(region_->Attach(dir_.path().c_str(), kTwo, Policy::kBurstShare), nullptr);
  }
  std::string path() const { return dir_.File("region"); }
  std::vector<std::byte> Bytes() const {
    std::ifstream in(path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto* from = reinterpret_cast<const std::byte*>(text.data());
    return {from, from + text.size()};
  }

  TempDir dir_;
  std::unique_ptr<Region> region_ = std::make_unique<Region>();
};

TEST_F(RegionReader, TellsLimitsUseAndCounters) {
  region_->Reserve(0, 1000, kLimit);
  region_->Reserve(1, 500, 2 * kLimit);
  region_->CountDenied(1);
  region_->CountLaunch(0);
  region_->CountLaunch(0);
  region_->ThreadLaunches(0, kCountingThreads - 1).store(5);
  const auto snapshot = ReadRegion(path());
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  ASSERT_EQ(snapshot->devices.size(), 2u);
  const DeviceSnapshot& a = snapshot->devices[0];
  EXPECT_EQ(a.uuid, "GPU-a");
  EXPECT_EQ(a.limit_bytes, kLimit);
  EXPECT_EQ(a.cores_percent, 30u);
  EXPECT_EQ(a.policy, Policy::kBurstShare);
  EXPECT_EQ(a.used_bytes, 1000u);
  EXPECT_EQ(a.launches_total, 7u);
  EXPECT_EQ(a.denied_total, 0u);
  EXPECT_EQ(snapshot->devices[1].used_bytes, 500u);
  EXPECT_EQ(snapshot->devices[1].denied_total, 1u);
  ASSERT_EQ(snapshot->processes.size(), 1u);
  EXPECT_EQ(snapshot->processes[0].pid, static_cast<std::uint64_t>(getpid()));
  ASSERT_EQ(snapshot->processes[0].devices.size(), 2u);
  EXPECT_EQ(snapshot->processes[0].devices[0].used_bytes, 1000u);
  EXPECT_EQ(snapshot->processes[0].devices[0].launches, 7u);
  EXPECT_EQ(snapshot->processes[0].devices[1].device, 1u);
}

TEST_F(RegionReader, TellsHostMemoryApart) {
  auto devices = kTwo;
  devices[1].host_bytes = 3 * kLimit;
  region_->PublishLimits(devices, Policy::kBurstShare);
  region_->Reserve(1, 500, 2 * kLimit);
  region_->Reserve(HostAccountOf(1), 700, 3 * kLimit);
  const auto snapshot = ReadRegion(path());
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_EQ(snapshot->devices[0].host_limit_bytes, 0u);
  EXPECT_EQ(snapshot->devices[0].host_used_bytes, 0u);
  EXPECT_EQ(snapshot->devices[1].used_bytes, 500u);
  EXPECT_EQ(snapshot->devices[1].host_limit_bytes, 3 * kLimit);
  EXPECT_EQ(snapshot->devices[1].host_used_bytes, 700u);
  EXPECT_EQ(snapshot->processes[0].devices[1].host_bytes, 700u);
}

TEST_F(RegionReader, LeavesOutTheDeadButKeepsTheirCounters) {
  Shared<std::atomic<int>> ready;
  const pid_t child = Fork([&] {
    region_->ForgetAfterFork();
    region_->Attach(dir_.path().c_str(), kTwo, Policy::kBurstShare);
    region_->Reserve(0, 4096, kLimit);
    region_->CountLaunch(0);
    *ready = 1;
    pause();
  });
  SpinUntil(*ready, 1);
  const auto before = ReadRegion(path());
  ASSERT_TRUE(before);
  EXPECT_EQ(before->processes.size(), 2u);
  EXPECT_EQ(before->devices[0].used_bytes, 4096u);
  Kill(child);
  const auto after = ReadRegion(path());
  ASSERT_TRUE(after);
  EXPECT_EQ(after->processes.size(), 1u);
  EXPECT_EQ(after->devices[0].used_bytes, 0u);
  EXPECT_EQ(after->devices[0].launches_total, 1u);
}

TEST_F(RegionReader, NeverSeesAHalfChange) {
  Shared<std::atomic<int>> stop;
  const pid_t child = Fork([&] {
    region_->ForgetAfterFork();
    region_->Attach(dir_.path().c_str(), kTwo, Policy::kBurstShare);
    region_->Reserve(0, 1000, kLimit);
    while (*stop == 0) {
      region_->Reserve(0, 77, kLimit);
      region_->Release(0, 77);
    }
  });
  for (int i = 0; i < 300; ++i) {
    const auto snapshot = ReadRegion(path());
    if (!snapshot) {
      EXPECT_EQ(snapshot.error().code, Errc::kUnavailable) << snapshot.error().message;
      continue;
    }
    const std::uint64_t used = snapshot->devices[0].used_bytes;
    EXPECT_TRUE(used == 0 || used == 1000 || used == 1077) << used;
  }
  *stop = 1;
  test::Wait(child);
}

TEST_F(RegionReader, NamesWhatIsWrong) {
  struct Case {
    const char* name;
    std::function<void(Layout&)> spoil;
    const char* want;
  };
  const Case cases[] = {
      {"magic", [](Layout& f) { f.header.magic = 1; }, "header.magic"},
      {"version", [](Layout& f) { f.header.version = 9; }, "header.version is 9"},
      {"size", [](Layout& f) { f.header.size = 12; }, "header.size is 12"},
      {"too many devices", [](Layout& f) { f.header.device_count = 17; }, "device_count is 17"},
      {"wild device count", [](Layout& f) { f.header.device_count = ~0u; }, "device_count"},
      {"no uuid", [](Layout& f) { f.devices[1].uuid[0] = '\0'; }, "devices[1].uuid"},
      {"endless uuid", [](Layout& f) { memset(f.devices[0].uuid, 'a', kUuidSize); },
       "devices[0].uuid"},
      {"uuid with a newline", [](Layout& f) { f.devices[0].uuid[1] = '\n'; }, "devices[0].uuid"},
      {"uuid with a quote", [](Layout& f) { f.devices[0].uuid[1] = '"'; }, "devices[0].uuid"},
      {"limit", [](Layout& f) { f.devices[0].limit_bytes = ~0ull; }, "devices[0].limit_bytes"},
      {"context", [](Layout& f) { f.devices[0].context_bytes = ~0ull; },
       "devices[0].context_bytes"},
      {"cores", [](Layout& f) { f.devices[1].cores_percent = 101; },
       "devices[1].cores_percent is 101"},
      {"policy", [](Layout& f) { f.devices[1].policy = 3; }, "devices[1].policy is 3"},
      {"host limit", [](Layout& f) { f.host[1].limit_bytes = ~0ull; }, "host[1].limit_bytes"},
      {"host lane", [](Layout& f) { f.host_balances[0][1].committed = 5; }, "host_balances[0][1]"},
      {"lane", [](Layout& f) { f.lanes[0][1].memory.committed = 5; }, "lanes[0][1]"},
      {"used",
       [](Layout& f) {
         f.lanes[0][0].memory.committed = 5;
         f.lanes[0][0].memory.records[0].sequence = 5;
         f.lanes[0][0].memory.records[0].used_bytes = kMaxBytes + 1;
       },
       "lanes[0][0]"},
  };
  const auto good = Bytes();
  ASSERT_TRUE(ParseRegion(good));
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto bytes = good;
    c.spoil(*reinterpret_cast<Layout*>(bytes.data()));
    const auto snapshot = ParseRegion(bytes);
    ASSERT_FALSE(snapshot);
    EXPECT_THAT(snapshot.error().message, HasSubstr(c.want));
  }
}

TEST_F(RegionReader, AHeadThatPointsNowhereDoesNotMatter) {
  auto bytes = Bytes();
  reinterpret_cast<Layout*>(bytes.data())->devices[0].head = PackHead(7, 250);
  EXPECT_TRUE(ParseRegion(bytes));
}

TEST_F(RegionReader, RandomBytesNeverCrash) {
  std::mt19937_64 random(3);
  const auto good = Bytes();
  for (int round = 0; round < 300; ++round) {
    auto bytes = good;
    for (int i = 0; i < 50; ++i) {
      bytes[random() % (i % 2 == 0 ? 8192 : bytes.size())] = static_cast<std::byte>(random());
    }
    (void)ParseRegion(bytes);
  }
}

TEST_F(RegionReader, RefusesWhatIsNotARegionFile) {
  struct Case {
    const char* name;
    std::function<void(const std::string&)> spoil;
    Errc code;
    const char* want;
  };
  namespace fs = std::filesystem;
  const Case cases[] = {
      {"absent", [](const std::string& p) { fs::remove(p); }, Errc::kNotFound, "no region"},
      {"truncated", [](const std::string& p) { fs::resize_file(p, 4096); }, Errc::kInvalidArgument,
       "4096 bytes"},
      {"empty", [](const std::string& p) { fs::resize_file(p, 0); }, Errc::kInvalidArgument,
       "0 bytes"},
      {"oversized", [](const std::string& p) { fs::resize_file(p, std::uintmax_t{1} << 40); },
       Errc::kInvalidArgument, "bytes"},
      {"a link",
       [](const std::string& p) {
         fs::remove(p);
         fs::create_symlink("/etc/shadow", p);
       },
       Errc::kInvalidArgument, "symbolic link"},
      {"a folder",
       [](const std::string& p) {
         fs::remove(p);
         fs::create_directory(p);
       },
       Errc::kInvalidArgument, "not a regular file"},
      {"a pipe without a writer",
       [](const std::string& p) {
         fs::remove(p);
         ASSERT_EQ(mkfifo(p.c_str(), 0666), 0);
       },
       Errc::kInvalidArgument, "not a regular file"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    TempDir dir;
    fs::copy_file(path(), dir.File("region"));
    c.spoil(dir.File("region"));
    const auto snapshot = ReadRegion(dir.File("region"));
    ASSERT_FALSE(snapshot);
    EXPECT_EQ(snapshot.error().code, c.code);
    EXPECT_THAT(snapshot.error().message, HasSubstr(c.want));
  }
}

TEST(RegionParser, RefusesOtherSizes) {
  const std::vector<std::byte> bytes(sizeof(Layout) + 1);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, sizeof(Layout) - 1, bytes.size()}) {
    EXPECT_FALSE(ParseRegion(std::span(bytes).first(size)));
  }
}

}  // namespace
}  // namespace tessera::region
