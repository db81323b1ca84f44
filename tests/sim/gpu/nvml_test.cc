// NVML over processes that run sim_workload.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/abi/nvml_more.h"
#include "tests/sim/gpu/child.h"
#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

using Clock = std::chrono::steady_clock;

const std::string kWorkload = std::string(TESSERA_BINARY_DIR) + "/bin/sim_workload";
constexpr const char* kUuids[] = {"GPU-00000000-0000-4000-8000-000000000000",
                                  "GPU-00000000-0000-4000-8000-000000000001"};

/// NVML keeps what it read at the first nvmlInit of a process: one machine for all tests here.
class Nvml : public ::testing::Test {
 protected:
  static Folder& Machine() {
    static Folder folder;
    return folder;
  }
  static void Configure(const char* first, const char* second) {
    const auto path = Machine().Write(
        "gpus", std::string("driver version=570.86.15 cuda=12080\ngpu uuid=") + kUuids[0] +
                    " model=\"NVIDIA One\" memory_mib=1000 numa=0 healthy=" + first +
                    "\ngpu uuid=" + kUuids[1] + " memory_mib=2000 numa=1 xid=94 healthy=" + second +
                    "\n");
    setenv("TESSERA_SIM_GPUS", path.c_str(), 1);
    setenv("TESSERA_SIM_STATE", Machine().path().c_str(), 1);
  }
  void SetUp() override {
    Configure("1", "1");
    ASSERT_EQ(nvmlInit_v2(), NVML_SUCCESS);
    for (unsigned int i = 0; i < 2; ++i) {
      ASSERT_EQ(nvmlDeviceGetHandleByIndex_v2(i, &devices_[i]), NVML_SUCCESS);
    }
  }
  void TearDown() override { nvmlShutdown(); }

  nvmlDevice_t devices_[2]{};
};

TEST_F(Nvml, TellsTheInventory) {
  unsigned int count = 0;
  char text[96] = {};
  unsigned int number = 99;
  int version = 0;
  EXPECT_EQ(nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
  EXPECT_EQ(count, 2U);
  EXPECT_EQ(nvmlSystemGetDriverVersion(text, sizeof(text)), NVML_SUCCESS);
  EXPECT_STREQ(text, "570.86.15");
  EXPECT_EQ(nvmlSystemGetCudaDriverVersion_v2(&version), NVML_SUCCESS);
  EXPECT_EQ(version, 12080);
  EXPECT_EQ(nvmlDeviceGetUUID(devices_[1], text, sizeof(text)), NVML_SUCCESS);
  EXPECT_STREQ(text, kUuids[1]);
  EXPECT_EQ(nvmlDeviceGetName(devices_[0], text, sizeof(text)), NVML_SUCCESS);
  EXPECT_STREQ(text, "NVIDIA One");
  EXPECT_EQ(nvmlDeviceGetNumaNodeId(devices_[1], &number), NVML_SUCCESS);
  EXPECT_EQ(number, 1U);
  EXPECT_EQ(nvmlDeviceGetMinorNumber(devices_[1], &number), NVML_SUCCESS);
  EXPECT_EQ(number, 1U);
  nvmlDevice_t found = nullptr;
  EXPECT_EQ(nvmlDeviceGetHandleByUUID(kUuids[1], &found), NVML_SUCCESS);
  EXPECT_EQ(found, devices_[1]);
  EXPECT_EQ(nvmlDeviceGetHandleByPciBusId_v2("0000:02:00.0", &found), NVML_SUCCESS);
  EXPECT_EQ(found, devices_[1]);
  nvmlGpuTopologyLevel_t level{};
  EXPECT_EQ(nvmlDeviceGetTopologyCommonAncestor(devices_[0], devices_[1], &level), NVML_SUCCESS);
  EXPECT_EQ(level, NVML_TOPOLOGY_SYSTEM);
  EXPECT_EQ(nvmlDeviceGetMigMode(devices_[0], &number, &number), NVML_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(nvmlDeviceGetNumaNodeId(reinterpret_cast<nvmlDevice_t>(text), &number),
            NVML_ERROR_INVALID_ARGUMENT);
}

TEST_F(Nvml, SeesMemoryAndProcessesComeAndGo) {
  nvmlMemory_t memory{};
  ASSERT_EQ(nvmlDeviceGetMemoryInfo(devices_[0], &memory), NVML_SUCCESS);
  EXPECT_EQ(memory.total, 1000ULL << 20);
  EXPECT_EQ(memory.used, 0U);
  Child holder(kWorkload + " hold 104857600", {});
  ASSERT_EQ(holder.Line(), "held 0");
  nvmlMemory_v2_t wide{};
  wide.version = nvmlMemory_v2;
  ASSERT_EQ(nvmlDeviceGetMemoryInfo_v2(devices_[0], &wide), NVML_SUCCESS);
  EXPECT_EQ(wide.used, 100ULL << 20);
  EXPECT_EQ(wide.free, 900ULL << 20);
  unsigned int count = 0;
  EXPECT_EQ(nvmlDeviceGetComputeRunningProcesses_v3(devices_[0], &count, nullptr),
            NVML_ERROR_INSUFFICIENT_SIZE);
  ASSERT_EQ(count, 1U);
  nvmlProcessInfo_t info{};
  EXPECT_EQ(nvmlDeviceGetComputeRunningProcesses_v3(devices_[0], &count, &info), NVML_SUCCESS);
  EXPECT_EQ(info.pid, static_cast<unsigned int>(holder.pid()));
  EXPECT_EQ(info.usedGpuMemory, 100ULL << 20);
  char name[256] = {};
  EXPECT_EQ(nvmlSystemGetProcessName(info.pid, name, sizeof(name)), NVML_SUCCESS);
  EXPECT_EQ(name, kWorkload);
  holder.Kill();
  EXPECT_EQ(nvmlDeviceGetComputeRunningProcesses_v3(devices_[0], &count, &info), NVML_SUCCESS);
  EXPECT_EQ(count, 0U);
  ASSERT_EQ(nvmlDeviceGetMemoryInfo(devices_[0], &memory), NVML_SUCCESS);
  EXPECT_EQ(memory.used, 0U);
}

TEST_F(Nvml, SeesWhoUsesTheGpuTime) {
  Child spinner(kWorkload + " spin 1000000 5000", {});
  ASSERT_EQ(spinner.Line(), "ready");
  spinner.Send("go");
  nvmlUtilization_t utilization{};
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (utilization.gpu < 60 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ASSERT_EQ(nvmlDeviceGetUtilizationRates(devices_[0], &utilization), NVML_SUCCESS);
  }
  EXPECT_GE(utilization.gpu, 60U);
  nvmlProcessUtilizationSample_t samples[100];
  unsigned int count = 100;
  ASSERT_EQ(nvmlDeviceGetProcessUtilization(devices_[0], samples, &count, 0), NVML_SUCCESS);
  ASSERT_EQ(count, 1U);
  EXPECT_EQ(samples[0].pid, static_cast<unsigned int>(spinner.pid()));
  EXPECT_GE(samples[0].smUtil, 60U);
  const unsigned long long seen = samples[0].timeStamp;
  count = 100;
  EXPECT_EQ(nvmlDeviceGetProcessUtilization(devices_[0], samples, &count, seen + 60'000'000),
            NVML_ERROR_NOT_FOUND);
  spinner.Kill();
  EXPECT_EQ(nvmlDeviceGetUtilizationRates(devices_[0], &utilization), NVML_SUCCESS);
  EXPECT_EQ(utilization.gpu, 0U);
}

class Samples : public Nvml {
 protected:
  /// Those after `since`; what NVML answered is in result_.
  std::vector<nvmlSample_t> Ask(unsigned long long since, unsigned int room = 200) {
    std::vector<nvmlSample_t> samples(room);
    nvmlValueType_t type{};
    result_ = nvmlDeviceGetSamples(devices_[0], NVML_GPU_UTILIZATION_SAMPLES, since, &type, &room,
                                   samples.data());
    samples.resize(result_ == NVML_SUCCESS ? room : 0);
    EXPECT_TRUE(samples.empty() || type == NVML_VALUE_TYPE_UNSIGNED_INT);
    return samples;
  }
  static unsigned int Most(const std::vector<nvmlSample_t>& samples) {
    unsigned int most = 0;
    for (const auto& sample : samples) most = std::max(most, sample.sampleValue.uiVal);
    return most;
  }
  static unsigned long long NowUs() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<unsigned long long>(
        std::chrono::duration_cast<std::chrono::microseconds>(now).count());
  }
  nvmlReturn_t result_{};
};

TEST_F(Samples, TellEachFifthOfASecondOnceAndKeepWhatEndedProcessesHad) {
  const unsigned long long start = NowUs();
  Child spinner(kWorkload + " spin 1000000 5000", {});
  ASSERT_EQ(spinner.Line(), "ready");
  spinner.Send("go");
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (Most(Ask(start)) < 90 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  spinner.Kill();
  const auto samples = Ask(start);
  EXPECT_GE(Most(samples), 90U) << "also when its process is gone";
  for (std::size_t i = 1; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].timeStamp - samples[i - 1].timeStamp, 200'000U);
  }
  EXPECT_LE(samples.back().timeStamp, NowUs());
  EXPECT_GE(samples.back().timeStamp + 2'000'000, NowUs());
  for (const auto& again : Ask(samples.back().timeStamp)) {
    EXPECT_GE(again.timeStamp, samples.back().timeStamp + 200'000) << "told once";
  }
}

TEST_F(Samples, AnIdleGpuHasSamplesToo) {
  EXPECT_EQ(Ask(0).size(), 100U);
  EXPECT_EQ(Ask(0, 3).size(), 3U);
  EXPECT_TRUE(Ask(NowUs() + 60'000'000).empty());
  EXPECT_EQ(result_, NVML_ERROR_NOT_FOUND);
}

TEST_F(Samples, WrongQuestionsAreRefused) {
  nvmlValueType_t type{};
  unsigned int count = 0;
  nvmlSample_t sample{};
  const auto ask = [&](nvmlDevice_t device, nvmlSamplingType_t kind, nvmlValueType_t* value,
                       unsigned int* room, nvmlSample_t* into) {
    return nvmlDeviceGetSamples(device, kind, 0, value, room, into);
  };
  constexpr auto kKind = NVML_GPU_UTILIZATION_SAMPLES;
  EXPECT_EQ(ask(devices_[0], kKind, &type, &count, nullptr), NVML_SUCCESS) << "asks for the room";
  EXPECT_EQ(count, 100U);
  count = 0;
  EXPECT_EQ(ask(devices_[0], kKind, &type, &count, &sample), NVML_ERROR_INVALID_ARGUMENT);
  count = 1;
  EXPECT_EQ(ask(nullptr, kKind, &type, &count, &sample), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(ask(devices_[0], kKind, nullptr, &count, &sample), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(ask(devices_[0], kKind, &type, nullptr, &sample), NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(ask(devices_[0], NVML_MEMORY_UTILIZATION_SAMPLES, &type, &count, &sample),
            NVML_ERROR_NOT_SUPPORTED);
  Configure("lost", "1");
  EXPECT_EQ(ask(devices_[0], kKind, &type, &count, &sample), NVML_ERROR_GPU_IS_LOST);
  nvmlShutdown();
  EXPECT_EQ(ask(devices_[0], kKind, &type, &count, &sample), NVML_ERROR_UNINITIALIZED);
  nvmlInit_v2();
}

class Events : public Nvml {
 protected:
  void SetUp() override {
    Nvml::SetUp();
    ASSERT_EQ(nvmlEventSetCreate(&set_), NVML_SUCCESS);
    for (nvmlDevice_t device : devices_) {
      ASSERT_EQ(nvmlDeviceRegisterEvents(device, nvmlEventTypeXidCriticalError, set_),
                NVML_SUCCESS);
    }
  }
  void TearDown() override {
    nvmlEventSetFree(set_);
    Nvml::TearDown();
  }
  nvmlEventSet_t set_{};
  nvmlEventData_t data_{};
};

TEST_F(Events, AGpuThatTurnsSickWakesTheWaiter) {
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 0), NVML_ERROR_TIMEOUT);
  std::thread doctor([] { Configure("1", "0"); });
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 10'000), NVML_SUCCESS);
  doctor.join();
  EXPECT_EQ(data_.device, devices_[1]);
  EXPECT_EQ(data_.eventType, nvmlEventTypeXidCriticalError);
  EXPECT_EQ(data_.eventData, 94U);
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 0), NVML_ERROR_TIMEOUT) << "told once";
  Configure("1", "1");
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 0), NVML_ERROR_TIMEOUT) << "recovery is silent";
  Configure("1", "0");
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 0), NVML_SUCCESS) << "sick again is told again";
}

TEST_F(Events, ALostGpuAnswersSoAndRaisesXid79) {
  Configure("lost", "1");
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 0), NVML_SUCCESS);
  EXPECT_EQ(data_.device, devices_[0]);
  EXPECT_EQ(data_.eventData, 79U);
  nvmlMemory_t memory{};
  nvmlDevice_t found = nullptr;
  unsigned int number = 0;
  EXPECT_EQ(nvmlDeviceGetMemoryInfo(devices_[0], &memory), NVML_ERROR_GPU_IS_LOST);
  EXPECT_EQ(nvmlDeviceGetPowerUsage(devices_[0], &number), NVML_ERROR_GPU_IS_LOST);
  EXPECT_EQ(nvmlDeviceGetHandleByUUID(kUuids[0], &found), NVML_ERROR_GPU_IS_LOST);
  EXPECT_EQ(nvmlDeviceGetMemoryInfo(devices_[1], &memory), NVML_SUCCESS);
}

TEST_F(Events, WaitingKeepsTheTimeoutWithoutWork) {
  const auto start = Clock::now();
  const auto cpu_before = std::clock();
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 150), NVML_ERROR_TIMEOUT);
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(150));
  EXPECT_LT(std::clock() - cpu_before, CLOCKS_PER_SEC / 20);
}

TEST_F(Events, ABrokenConfigurationChangesNothing) {
  Machine().Write("gpus", "gpu nonsense\n");
  nvmlMemory_t memory{};
  EXPECT_EQ(nvmlDeviceGetMemoryInfo(devices_[0], &memory), NVML_SUCCESS);
  EXPECT_EQ(nvmlEventSetWait_v2(set_, &data_, 0), NVML_ERROR_TIMEOUT);
}

}  // namespace
}  // namespace tessera::sim::gpu
