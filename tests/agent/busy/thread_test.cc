// The thread against the simulated NVML, and against libraries that answer oddly.
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/busy/busy_thread.h"
#include "sim/gpu/utilization.h"
#include "tests/agent/busy/odd_nvml.h"
#include "tests/agent/mps/fixture.h"

namespace tessera::agent {
namespace {

using mps::Eventually;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kGpu = "GPU-00000000-0000-0000-0000-000000000001";
constexpr const char* kOther = "GPU-00000000-0000-0000-0000-000000000002";

class Busy : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(!thread_ || thread_->Stop(seconds(10))); }

  void Begin(const std::string& library, milliseconds retry = seconds(60)) {
    thread_.emplace(
        BusyThread::Options{.library = library,
                            .every = milliseconds(5),
                            .list_every = milliseconds(5),
                            .retry = retry},
        [this] {
          const std::lock_guard lock(mu_);
          ++rounds_;
          return gpus_;
        },
        [this](const std::string& uuid, std::span<const BusySample> samples) {
          const std::lock_guard lock(mu_);
          heard_[uuid].insert(heard_[uuid].end(), samples.begin(), samples.end());
        },
        [this](const std::string& uuid, const std::string& reason) {
          const std::lock_guard lock(mu_);
          complaints_.push_back(uuid + " " + reason);
        });
    thread_->Start();
  }
  void List(std::set<std::string> gpus) {
    const std::lock_guard lock(mu_);
    gpus_ = std::move(gpus);
  }
  /// Lets the thread come round ten times.
  void AwaitRounds() {
    const int end = rounds_ + 10;
    ASSERT_TRUE(Eventually([&] { return rounds_ >= end; }));
  }
  std::vector<BusySample> Heard(const std::string& uuid) {
    const std::lock_guard lock(mu_);
    return heard_[uuid];
  }
  std::vector<std::string> Complaints() {
    const std::lock_guard lock(mu_);
    return complaints_;
  }

  std::mutex mu_;
  std::set<std::string> gpus_ = {kGpu};
  std::map<std::string, std::vector<BusySample>> heard_;
  std::vector<std::string> complaints_;
  std::atomic<int> rounds_{0};
  std::optional<BusyThread> thread_;
};

class SimulatedGpu : public Busy {
 protected:
  static constexpr const char* kLibrary = TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1";

  /// The library reads its configuration once in a process: one machine for all tests here.
  static const std::string& Folder() {
    static const std::string folder = [] {
      std::string name = ::testing::TempDir() + "/busy.XXXXXX";
      EXPECT_NE(mkdtemp(name.data()), nullptr);
      std::ofstream(name + "/gpus") << "gpu uuid=" << kGpu << " memory_mib=1000\n"
                                    << "gpu uuid=" << kOther << " memory_mib=1000\n";
      setenv("TESSERA_SIM_GPUS", (name + "/gpus").c_str(), 1);
      setenv("TESSERA_SIM_STATE", name.c_str(), 1);
      return name;
    }();
    return folder;
  }
  /// The GPU is at work for this part of a minute from two seconds ago on.
  static void Use(const char* uuid, int percent) {
    const auto state = sim::gpu::DeviceState::Open(Folder(), uuid);
    ASSERT_TRUE(state.has_value()) << state.error().message;
    const std::uint64_t from = sim::gpu::NowNs() - 2'000'000'000;
    const std::uint64_t length = 20'000'000'000;
    sim::gpu::AddUtilization((*state)->file(), from, from + length,
                             length / 100 * static_cast<std::uint64_t>(percent));
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(Folder()); }
};

TEST_F(SimulatedGpu, TellsHowBusyEachGpuWas) {
  Use(kGpu, 30);
  Use(kOther, 100);
  List({kGpu, kOther});
  Begin(kLibrary);
  ASSERT_TRUE(Eventually([&] { return Heard(kGpu).size() >= 6 && Heard(kOther).size() >= 6; }));
  const auto samples = Heard(kGpu);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].permille, 305U);
    EXPECT_LE(samples[i].to_ns, sim::gpu::NowNs());
    EXPECT_NEAR(static_cast<double>(samples[i].to_ns - samples[i].from_ns), 2e8, 2e6);
  }
  for (std::size_t i = 1; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].from_ns, samples[i - 1].to_ns);
  }
  EXPECT_LE(sim::gpu::NowNs() - samples.back().to_ns, 2'000'000'000U);
  for (const auto& one : Heard(kOther)) EXPECT_EQ(one.permille, 1000U);
  const auto ratios = thread_->Ratios();
  EXPECT_NEAR(ratios.at(kGpu), 0.305, 1e-9);
  EXPECT_NEAR(ratios.at(kOther), 1, 1e-9);
  EXPECT_THAT(Complaints(), IsEmpty());
  List({kOther});
  EXPECT_TRUE(Eventually([&] { return !thread_->Ratios().contains(kGpu); }));
  EXPECT_TRUE(thread_->Ratios().contains(kOther));
}

TEST_F(SimulatedGpu, AUuidThatNvmlDoesNotKnowDoesNotKeepItFromOthers) {
  Folder();
  List({"GPU-somewhere-else", kOther});
  Begin(kLibrary);
  EXPECT_TRUE(Eventually([&] { return !Heard(kOther).empty() && !Complaints().empty(); }));
  EXPECT_THAT(Complaints(),
              ElementsAre(HasSubstr("GPU-somewhere-else nvmlDeviceGetHandleByUUID: ")));
}

class OddDriver : public Busy {
 protected:
  static constexpr const char* kLibrary = TESSERA_BINARY_DIR "/tests/agent/libodd_nvml.so";

  void SetUp() override {
    library_ = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    odd_ = static_cast<OddNvml*>(dlsym(library_, "odd"));
    ASSERT_NE(odd_, nullptr);
    odd_->calls = 0;
  }
  void TearDown() override {
    odd_->mode = OddMode::kWell;
    Busy::TearDown();
    EXPECT_EQ(odd_->users, 0);
    thread_.reset();
    dlclose(library_);
  }
  void* library_ = nullptr;
  OddNvml* odd_ = nullptr;
};

TEST_F(OddDriver, IsComplainedOfOnceAndLeftAlone) {
  odd_->mode = OddMode::kNotSupported;
  List({kGpu, kOther});
  Begin(kLibrary);
  ASSERT_TRUE(Eventually([&] { return Complaints().size() >= 2; }));
  AwaitRounds();
  EXPECT_EQ(odd_->calls, 2);
  EXPECT_EQ(odd_->users, 0) << "not held open for nothing";
  EXPECT_THAT(Complaints(), ElementsAre(HasSubstr("nvmlDeviceGetSamples: NVML error 3"),
                                        HasSubstr("nvmlDeviceGetSamples: NVML error 3")));
}

TEST_F(OddDriver, IsAskedAgainLaterAndHeardWhenItIsWell) {
  odd_->mode = OddMode::kNotSupported;
  Begin(kLibrary, milliseconds(1));
  ASSERT_TRUE(Eventually([&] { return odd_->calls >= 5; }));
  EXPECT_EQ(Complaints().size(), 1U) << "once, however often";
  odd_->mode = OddMode::kWell;
  ASSERT_TRUE(Eventually([&] { return Heard(kGpu).size() >= 3; }));
  EXPECT_NEAR(thread_->Ratios().at(kGpu), 0.705, 1e-9);
  odd_->mode = OddMode::kNotSupported;
  EXPECT_TRUE(Eventually([&] { return Complaints().size() == 2; })) << "it had answered since";
  EXPECT_TRUE(Eventually([&] { return thread_->Ratios().empty(); }));
}

TEST_F(OddDriver, HostileAnswersAreNotPassedOn) {
  odd_->mode = OddMode::kHostile;
  Begin(kLibrary);
  ASSERT_TRUE(Eventually([&] { return odd_->calls >= 5; }));
  odd_->mode = OddMode::kOtherType;
  ASSERT_TRUE(Eventually([&] { return !Complaints().empty(); }));
  EXPECT_THAT(Heard(kGpu), IsEmpty());
  EXPECT_THAT(Complaints(), ElementsAre(HasSubstr("values of type 0")));
}

TEST_F(OddDriver, ThatHangsKeepsNobodyFromLeaving) {
  odd_->mode = OddMode::kWell;
  Begin(kLibrary);
  ASSERT_TRUE(Eventually([&] { return !thread_->Ratios().empty(); }));
  odd_->mode = OddMode::kHangs;
  EXPECT_TRUE(Eventually([&] { return thread_->Ratios().empty(); })) << "old values end";
  EXPECT_FALSE(thread_->Stop(seconds(0)));
  odd_->mode = OddMode::kWell;
  EXPECT_TRUE(thread_->Stop(seconds(10)));
  EXPECT_TRUE(thread_->Stop(seconds(0))) << "twice is once";
}

TEST_F(OddDriver, IsNotOpenWhileThereIsNobodyToAskFor) {
  List({});
  Begin(kLibrary);
  AwaitRounds();
  EXPECT_EQ(odd_->users, 0);
  List({kGpu});
  EXPECT_TRUE(Eventually([&] { return odd_->users == 1; }));
  List({});
  EXPECT_TRUE(Eventually([&] { return odd_->users == 0; }));
}

TEST_F(Busy, ALibraryThatIsMissingOrLacksTheFunctionIsSaidByName) {
  Begin("libnothing-of-that-name.so.9");
  ASSERT_TRUE(Eventually([&] { return !Complaints().empty(); }));
  EXPECT_THAT(Complaints(), ElementsAre(HasSubstr("libnothing-of-that-name.so.9")));
  ASSERT_TRUE(thread_->Stop(seconds(10)));
  Begin(TESSERA_BINARY_DIR "/tests/agent/libhanging_nvml.so");
  ASSERT_TRUE(Eventually([&] { return Complaints().size() == 2; }));
  EXPECT_THAT(Complaints()[1], HasSubstr("libhanging_nvml.so has no symbol nvmlDeviceGet"));
}

TEST_F(Busy, NeverStartedItCanBeStopped) {
  BusyThread idle(
      {}, [] { return std::set<std::string>{}; }, nullptr, nullptr);
  EXPECT_TRUE(idle.Stop(seconds(0)));
  EXPECT_THAT(idle.Ratios(), IsEmpty());
}

}  // namespace
}  // namespace tessera::agent
