// Against the simulated libnvidia-ml.so.1, through dlopen as in production.
#include "agent/nvml.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/hardware.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

constexpr const char* kLibrary = TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1";
constexpr const char* kFirst = "GPU-00000000-0000-0000-0000-000000000001";
constexpr const char* kSecond = "GPU-00000000-0000-0000-0000-000000000002";

class SimulatedNvml : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/nvml.XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    setenv("TESSERA_SIM_GPUS", (folder_ + "/gpus").c_str(), 1);
    setenv("TESSERA_SIM_STATE", (folder_ + "/state").c_str(), 1);
    Configure("1");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Two GPUs; `healthy` is "1", "0" or "lost" for the second.
  void Configure(const std::string& healthy) {
    const std::string temporary = folder_ + "/new";
    std::ofstream(temporary) << "driver version=580.1\n"
                             << "gpu uuid=" << kFirst
                             << " model=\"Model A\" memory_mib=24576 numa=0\n"
                             << "gpu uuid=" << kSecond
                             << " model=\"Model B\" memory_mib=81920 numa=1 healthy=" << healthy
                             << "\n";
    std::filesystem::rename(temporary, folder_ + "/gpus");
  }
  auto Opener() {
    return [] { return OpenNvml(kLibrary, "/nowhere"); };
  }

  std::string folder_;
};

TEST_F(SimulatedNvml, ReadsWhatIsThere) {
  auto nvml = OpenNvml(kLibrary, "/nowhere");
  ASSERT_TRUE(nvml.has_value()) << nvml.error().message;
  const auto reading = (*nvml)->Read();
  ASSERT_TRUE(reading.has_value()) << reading.error().message;
  EXPECT_EQ(reading->driver_version, "580.1");
  ASSERT_EQ(reading->gpus.size(), 2U);
  EXPECT_EQ(reading->gpus[0].uuid, kFirst);
  EXPECT_EQ(reading->gpus[1].model, "Model B");
  EXPECT_EQ(reading->gpus[1].memory_total_bytes, std::uint64_t{81920} << 20);
  EXPECT_EQ(reading->gpus[1].index, 1);
  EXPECT_EQ(reading->gpus[1].numa_node, 1);
  EXPECT_EQ(reading->gpus[0].trouble, "");
}

TEST_F(SimulatedNvml, SysfsTellsTheNumaNode) {
  std::filesystem::create_directories(folder_ + "/sys/bus/pci/devices/0000:01:00.0");
  std::ofstream(folder_ + "/sys/bus/pci/devices/0000:01:00.0/numa_node") << "7\n";
  auto nvml = OpenNvml(kLibrary, folder_ + "/sys");
  ASSERT_TRUE(nvml.has_value());
  EXPECT_EQ((*nvml)->Read()->gpus[0].numa_node, 7);
}

TEST_F(SimulatedNvml, ALostGpuStaysUnhealthyUntilItIsBack) {
  ManualClock clock;
  Hardware hardware(Opener(), clock);
  EXPECT_TRUE(hardware.Refresh().gpus.at(1).healthy);
  Configure("lost");
  const auto lost = hardware.Refresh();
  ASSERT_EQ(lost.gpus.size(), 2U);
  EXPECT_FALSE(lost.gpus[1].healthy);
  EXPECT_NE(lost.gpus[1].health_reason, "");
  EXPECT_TRUE(lost.gpus[0].healthy);
  EXPECT_FALSE(hardware.Refresh().gpus[1].healthy);
  Configure("1");
  clock.Advance(std::chrono::minutes(10));
  EXPECT_TRUE(hardware.Refresh().gpus[1].healthy);
}

TEST_F(SimulatedNvml, AGpuWithAHardwareFaultIsHeldBackAndComesBackWhenItIsWell) {
  ManualClock clock;
  Hardware hardware(Opener(), clock);
  EXPECT_TRUE(hardware.Refresh().gpus.at(1).healthy);
  Configure("0");
  EXPECT_EQ(hardware.Refresh().gpus[1].health_reason, "Xid 48");
  EXPECT_EQ(hardware.Refresh().gpus[1].health_reason, "Xid 48");
  clock.Advance(std::chrono::minutes(6));
  EXPECT_FALSE(hardware.Refresh().gpus[1].healthy) << "the fault is still there";
  Configure("1");
  EXPECT_FALSE(hardware.Refresh().gpus[1].healthy) << "held";
  clock.Advance(std::chrono::minutes(6));
  EXPECT_TRUE(hardware.Refresh().gpus[1].healthy);
}

TEST(OpenNvml, AMissingLibraryIsSaidByName) {
  const auto nvml = OpenNvml("libnothing-of-that-name.so.9");
  ASSERT_FALSE(nvml.has_value());
  EXPECT_EQ(nvml.error().code, Errc::kUnavailable);
  EXPECT_THAT(nvml.error().message, HasSubstr("libnothing-of-that-name.so.9"));
}

TEST(OpenNvml, AMissingSymbolIsSaidByName) {
  const auto nvml = OpenNvml("libm.so.6");
  ASSERT_FALSE(nvml.has_value());
  EXPECT_THAT(nvml.error().message, HasSubstr("libm.so.6 has no symbol nvmlInit_v2"));
}

}  // namespace
}  // namespace tessera::agent
