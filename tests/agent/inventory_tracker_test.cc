#include "agent/inventory_tracker.h"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/hardware.h"
#include "agent/xid_watch.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;
using Time = InventoryTracker::Time;

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

GpuReading Reading(int index, const std::string& uuid) {
  GpuReading gpu;
  gpu.index = index;
  gpu.uuid = uuid;
  gpu.model = "Model";
  gpu.memory_total_bytes = 24 * kGib;
  gpu.numa_node = 1;
  return gpu;
}

NvmlReading Two() { return {"580", {Reading(0, "GPU-a"), Reading(1, "GPU-b")}}; }

TEST(Tracker, TranslatesAndRoundsDown) {
  InventoryTracker tracker;
  NvmlReading reading = Two();
  reading.gpus[0].memory_total_bytes += (1 << 20) - 1;
  const auto inventory = tracker.Update(reading, Time());
  ASSERT_EQ(inventory.gpus.size(), 2U);
  EXPECT_EQ(inventory.driver_version, "580");
  EXPECT_EQ(inventory.gpus[0].memory_mib, 24 * 1024);
  EXPECT_EQ(inventory.gpus[0].numa_node, 1);
  EXPECT_EQ(inventory.gpus[0].cores_percent, 100);
  EXPECT_TRUE(inventory.gpus[0].healthy);
}

TEST(Tracker, AGpuInTroubleStaysWithItsReasonAndRecovers) {
  const struct {
    const char* name;
    std::function<void(NvmlReading&)> change;
    const char* reason;
  } cases[] = {
      {"lost, nothing can be asked",
       [](NvmlReading& r) {
         r.gpus[1] = {};
         r.gpus[1].index = 1;
         r.gpus[1].trouble = "GPU is lost";
       },
       "GPU is lost"},
      {"only its memory cannot be asked",
       [](NvmlReading& r) {
         r.gpus[1].memory_total_bytes = 0;
         r.gpus[1].trouble = "Unknown Error";
       },
       "Unknown Error"},
      {"no memory", [](NvmlReading& r) { r.gpus[1].memory_total_bytes = 0; }, "no memory"},
      {"off the bus", [](NvmlReading& r) { r.gpus.pop_back(); }, "does not list"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    InventoryTracker tracker;
    const auto before = tracker.Update(Two(), Time());
    NvmlReading sick = Two();
    c.change(sick);
    const auto during = tracker.Update(sick, Time());
    ASSERT_EQ(during.gpus.size(), 2U);
    EXPECT_EQ(during.gpus[1].uuid, "GPU-b");
    EXPECT_EQ(during.gpus[1].memory_mib, 24 * 1024);
    EXPECT_FALSE(during.gpus[1].healthy);
    EXPECT_THAT(during.gpus[1].health_reason, HasSubstr(c.reason));
    EXPECT_TRUE(during.gpus[0].healthy);
    EXPECT_EQ(tracker.Update(Two(), Time()), before);
  }
}

TEST(Tracker, AGpuThatWasNeverWellIsNotOffered) {
  InventoryTracker tracker;
  NvmlReading reading = Two();
  reading.gpus[0] = {};
  reading.gpus[0].trouble = "GPU is lost";
  const auto inventory = tracker.Update(reading, Time());
  ASSERT_EQ(inventory.gpus.size(), 1U);
  EXPECT_EQ(inventory.gpus[0].uuid, "GPU-b");
}

TEST(Tracker, ADoubledUuidIsTakenOnce) {
  InventoryTracker tracker;
  NvmlReading reading = Two();
  reading.gpus[1].uuid = "GPU-a";
  EXPECT_EQ(tracker.Update(reading, Time()).gpus.size(), 1U);
}

TEST(Tracker, WithoutNvmlAllKnownGpusAreUnhealthy) {
  InventoryTracker tracker;
  EXPECT_TRUE(tracker.UpdateUnavailable("no library").gpus.empty());
  const auto before = tracker.Update(Two(), Time());
  const auto during = tracker.UpdateUnavailable("driver gone");
  ASSERT_EQ(during.gpus.size(), 2U);
  for (const auto& gpu : during.gpus) EXPECT_EQ(gpu.health_reason, "driver gone");
  EXPECT_EQ(tracker.Update(Two(), Time()), before);
}

TEST(Tracker, AHardwareFaultHoldsForItsTime) {
  InventoryTracker tracker(std::chrono::seconds(60));
  const Time begin{std::chrono::hours(1)};
  NvmlReading faulty = Two();
  faulty.gpus[1].xid = 79;
  EXPECT_EQ(tracker.Update(faulty, begin).gpus[1].health_reason, "Xid 79");
  EXPECT_FALSE(tracker.Update(Two(), begin + std::chrono::seconds(59)).gpus[1].healthy);
  EXPECT_FALSE(tracker.HoldEnds(begin + std::chrono::seconds(59)));
  EXPECT_TRUE(tracker.HoldEnds(begin + std::chrono::seconds(60)));
  EXPECT_TRUE(tracker.Update(Two(), begin + std::chrono::seconds(60)).gpus[1].healthy);
  EXPECT_FALSE(tracker.HoldEnds(begin + std::chrono::hours(9)));
}

TEST(Xid, FaultsOfProgramsAreNotFaultsOfTheHardware) {
  for (const unsigned long long xid : {13, 31, 43, 45, 68, 109}) EXPECT_FALSE(IsHardwareFault(xid));
  for (const unsigned long long xid : {48, 63, 74, 79, 95, 119}) EXPECT_TRUE(IsHardwareFault(xid));
}

TEST(SysfsPciName, DropsHalfOfTheDomain) {
  EXPECT_EQ(SysfsPciName("00000000:3B:00.0"), "0000:3b:00.0");
  EXPECT_EQ(SysfsPciName("0000:3b:00.0"), "0000:3b:00.0");
  for (const char* bad : {"", "3b:00.0", "00000000:../..", "nothing"})
    EXPECT_EQ(SysfsPciName(bad), "");
}

/// NVML played by a script: each opening and each reading takes the next step.
struct Script {
  std::vector<Result<NvmlReading>> readings;
  std::size_t at = 0;
  int opened = 0;
};

class ScriptedNvml final : public Nvml {
 public:
  explicit ScriptedNvml(Script& script) : script_(script) {}
  Result<NvmlReading> Read() override { return script_.readings.at(script_.at++); }

 private:
  Script& script_;
};

TEST(Hardware, OpensAnewAfterTroubleAndRecovers) {
  NvmlReading lost = Two();
  lost.gpus[1] = {};
  lost.gpus[1].index = 1;
  lost.gpus[1].trouble = "GPU is lost";
  Script script{{Two(), lost, Fail(Errc::kUnavailable, "driver is being changed"), Two(), Two()}};
  ManualClock clock;
  Hardware hardware(
      [&]() -> Result<std::unique_ptr<Nvml>> {
        ++script.opened;
        return std::make_unique<ScriptedNvml>(script);
      },
      clock);
  EXPECT_FALSE(hardware.Now().up);
  EXPECT_TRUE(hardware.Refresh().gpus[1].healthy);
  EXPECT_TRUE(hardware.Now().up);
  EXPECT_FALSE(hardware.Refresh().gpus[1].healthy);
  const auto away = hardware.Refresh();
  EXPECT_FALSE(away.gpus[0].healthy);
  EXPECT_FALSE(hardware.Now().up);
  EXPECT_EQ(hardware.Now().reason, "driver is being changed");
  EXPECT_TRUE(hardware.Refresh().gpus[1].healthy);
  EXPECT_TRUE(hardware.Refresh().gpus[0].healthy);
  EXPECT_EQ(script.opened, 3);
}

/// NVML whose second reading takes as long as the test wants.
class HangingNvml final : public Nvml {
 public:
  HangingNvml(std::atomic<int>& reading, std::atomic<bool>& let_go)
      : reading_(reading), let_go_(let_go) {}
  Result<NvmlReading> Read() override {
    if (++reading_ == 2) let_go_.wait(false);
    return Two();
  }

 private:
  std::atomic<int>& reading_;
  std::atomic<bool>& let_go_;
};

TEST(Hardware, ADriverThatHangsOffersNothingAndIsSaid) {
  ManualClock clock;
  std::atomic<int> reading = 0;
  std::atomic<bool> let_go = false;
  Hardware hardware([&] { return std::make_unique<HangingNvml>(reading, let_go); }, clock);
  EXPECT_FALSE(hardware.Now().known);
  hardware.Refresh();
  EXPECT_TRUE(hardware.Now().up);
  std::thread second([&] { hardware.Refresh(); });
  while (reading < 2) std::this_thread::yield();
  clock.Advance(Hardware::kPatience / 2);
  EXPECT_TRUE(hardware.Now().up) << "slow is not hanging";
  clock.Advance(Hardware::kPatience);
  const auto hanging = hardware.Now();
  let_go = true;
  let_go.notify_all();
  second.join();
  EXPECT_FALSE(hanging.up);
  EXPECT_THAT(hanging.reason, HasSubstr("hangs"));
  for (const auto& gpu : hanging.inventory.gpus) EXPECT_FALSE(gpu.healthy);
  EXPECT_TRUE(hardware.Now().up);
  EXPECT_TRUE(hardware.Now().inventory.gpus.at(0).healthy);
}

TEST(Hardware, AMissingLibraryIsAStateAndIsTriedAgain) {
  ManualClock clock;
  int tries = 0;
  Hardware hardware(
      [&]() -> Result<std::unique_ptr<Nvml>> {
        ++tries;
        return Fail(Errc::kUnavailable, "libnvidia-ml.so.1: cannot open shared object file");
      },
      clock);
  EXPECT_TRUE(hardware.Refresh().gpus.empty());
  EXPECT_TRUE(hardware.Refresh().gpus.empty());
  EXPECT_EQ(tries, 2);
  EXPECT_THAT(hardware.Now().reason, HasSubstr("cannot open shared object file"));
}

}  // namespace
}  // namespace tessera::agent
