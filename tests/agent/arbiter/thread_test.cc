// The arbiter's thread over real region files, in real time.
#include <string.h>
#include <time.h>

#include <chrono>
#include <cmath>
#include <deque>
#include <filesystem>

#include <gmock/gmock.h>

#include "agent/arbiter/arbiter_thread.h"
#include "common/base/monotonic.h"
#include "interceptor/region/grant.h"
#include "interceptor/region/region.h"
#include "tests/interceptor/temp_dir.h"

namespace tessera::agent {
namespace {

constexpr const char* kGpu = "GPU-1";
constexpr double kShareError = 6;  ///< points of percent

/// A container that always has something to launch.
class Tenant {
 public:
  explicit Tenant(int percent) : percent_(percent) {}

  void Attach() {
    region::DeviceConfig device;
    strcpy(device.uuid, kGpu);
    device.limit_bytes = 1 << 30;
    ASSERT_EQ(region_.Attach(folder_.path().c_str(), {&device, 1}, region::Policy::kBurstShare),
              nullptr);
  }
  ArbitratedContainer Entry() const {
    return {.gpu_uuid = kGpu,
            .region_path = folder_.File("region"),
            .policy = region::Policy::kBurstShare,
            .percent = percent_};
  }
  region::GrantView View() { return region::ReadGrant(region_.Grant(0), NowNs()); }
  /// Does what a gate does; true if its window is open.
  bool Act() {
    const std::uint64_t now = NowNs();
    region_.SetRunning(0, true);
    const region::GrantView view = region::ReadGrant(region_.Grant(0), now);
    const bool open = view.valid && view.IsOpen(now);
    region_.SetRunning(0, open);
    region_.SetWaiting(0, open ? region::WaitsFor::kNothing : region::WaitsFor::kWindow);
    if (last_ns_ != 0 && open) {
      open_ns_ += now - last_ns_;
      region_.Pace(0).ended_launches.fetch_add((now - last_ns_) / 20'000);
      region_.Pace(0).shallow_launches.fetch_add((now - last_ns_) / 20'000);
      region_.Pace(0).used_ns.fetch_add((now - last_ns_) * busy_percent_ * view.work_permille /
                                        100'000);
    }
    last_ns_ = now;
    return open;
  }
  const std::string& folder() const { return folder_.path(); }
  std::uint64_t open_ns() const { return open_ns_; }
  int percent_;
  unsigned busy_percent_ = 100;  ///< of the time in which its window is open

 private:
  test::TempDir folder_;
  region::Region region_;
  std::uint64_t last_ns_ = 0;
  std::uint64_t open_ns_ = 0;
};

class Threads : public ::testing::Test {
 protected:
  ArbiterThread::Provider Listing() {
    return [this] {
      std::vector<ArbitratedContainer> entries;
      for (const Tenant& tenant : tenants_) entries.push_back(tenant.Entry());
      return entries;
    };
  }
  /// All tenants act for so long; how often two windows were open at once.
  int Contend(std::chrono::milliseconds time) {
    int overlaps = 0;
    const std::uint64_t end = NowNs() + static_cast<std::uint64_t>(time.count()) * 1'000'000;
    while (NowNs() < end) {
      for (Tenant& tenant : tenants_) tenant.Act();
      const region::GrantView first = tenants_[0].View();
      const region::GrantView second = tenants_[1].View();
      const region::GrantView again = tenants_[0].View();
      const std::uint64_t now = NowNs();
      const bool same = first.open_until_ns == again.open_until_ns;
      const bool windows = first.HasEnd() && second.HasEnd();
      overlaps += same && windows && again.IsOpen(now) && second.IsOpen(now) ? 1 : 0;
      timespec nap = {.tv_sec = 0, .tv_nsec = 100'000};
      nanosleep(&nap, nullptr);
    }
    return overlaps;
  }
  /// Percent of the two's time that the first has. A machine that is busy with others makes tenants
  /// late, which counts as time of theirs: up to three times until it is `wanted`.
  double ShareOfFirst(double wanted) {
    double share = 0;
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t before[] = {tenants_[0].open_ns(), tenants_[1].open_ns()};
      EXPECT_EQ(Contend(std::chrono::milliseconds(1500)), 0);
      const auto first = static_cast<double>(tenants_[0].open_ns() - before[0]);
      const auto second = static_cast<double>(tenants_[1].open_ns() - before[1]);
      EXPECT_GE(first + second, 1.1e9);
      share = 100 * first / (first + second);
      if (std::abs(share - wanted) <= kShareError) break;
    }
    return share;
  }
  static bool Eventually(const std::function<bool()>& is_so) {
    const std::uint64_t end = NowNs() + 5'000'000'000;
    while (!is_so()) {
      if (NowNs() > end) return false;
      timespec nap = {.tv_sec = 0, .tv_nsec = 1'000'000};
      nanosleep(&nap, nullptr);
    }
    return true;
  }

  std::deque<Tenant> tenants_;
};

TEST_F(Threads, TwoThatContendGetDisjointWindowsByTheirShares) {
  tenants_.emplace_back(30);
  tenants_.emplace_back(70);
  const ArbiterThread arbiter(Listing());
  for (Tenant& tenant : tenants_) tenant.Attach();  // after the arbiter has looked once
  ASSERT_TRUE(Eventually([&] { return tenants_[0].View().valid && tenants_[1].View().valid; }));
  Contend(std::chrono::milliseconds(200));
  EXPECT_NEAR(ShareOfFirst(30), 30, kShareError);
  const ArbiterReport report = arbiter.Report();
  ASSERT_EQ(report.gpus.size(), 1U);
  EXPECT_TRUE(report.gpus[0].windows);
  EXPECT_GE(report.gpus[0].windows_total, 20U);
  ASSERT_EQ(report.gpus[0].containers.size(), 2U);
  for (const auto& container : report.gpus[0].containers) {
    EXPECT_GT(container.totals.charged_ns, 100'000'000U);
    EXPECT_GT(container.totals.waited_ns, 100'000'000U);
  }
}

TEST_F(Threads, SharesThatChangeHoldFromThenOn) {
  tenants_.emplace_back(50);
  tenants_.emplace_back(50);
  std::atomic<bool> changed = false;
  const auto listing = Listing();
  const ArbiterThread arbiter([&] {
    auto entries = listing();
    if (changed) entries[0].percent = 10;
    if (changed) entries[1].percent = 90;
    return entries;
  });
  for (Tenant& tenant : tenants_) tenant.Attach();
  Contend(std::chrono::milliseconds(600));
  changed = true;
  Contend(std::chrono::milliseconds(500));
  EXPECT_NEAR(ShareOfFirst(10), 10, kShareError);
}

TEST_F(Threads, ContainersThatLeaveTheGpuIdleHaveNoWindowsAndAreToldWhatIsWork) {
  for (const int percent : {30, 70}) tenants_.emplace_back(percent).busy_percent_ = 40;
  ArbiterThread arbiter(Listing());
  for (Tenant& tenant : tenants_) tenant.Attach();
  ASSERT_TRUE(Eventually([&] { return tenants_[0].View().valid && tenants_[1].View().valid; }));
  std::uint64_t from = NowNs();
  for (int i = 0; i < 20; ++i) {
    Contend(std::chrono::milliseconds(100));
    const std::uint64_t to = NowNs();
    const BusySample samples[] = {{from, to, 400}};
    arbiter.TellBusy(kGpu, samples);
    arbiter.TellBusy("GPU-unknown", samples);
    from = to;
  }
  Contend(std::chrono::milliseconds(100));
  for (Tenant& tenant : tenants_) {
    EXPECT_EQ(tenant.View().open_until_ns, region::kOpenInRounds);
    EXPECT_NEAR(tenant.View().work_permille, 510, 60);
  }
  EXPECT_FALSE(arbiter.Report().gpus.at(0).windows);
}

TEST_F(Threads, AnIdleContainerIsToldAgainAndAgainUntilTheArbiterEnds) {
  tenants_.emplace_back(50);
  tenants_[0].Attach();
  auto arbiter = std::make_unique<ArbiterThread>(Listing());
  ASSERT_TRUE(Eventually([&] { return tenants_[0].View().valid; }));
  int missing = 0;
  for (int i = 0; i < 300; ++i) {
    missing += tenants_[0].View().valid ? 0 : 1;
    timespec nap = {.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&nap, nullptr);
  }
  EXPECT_LE(missing, 5) << "a busy machine may be late";
  EXPECT_EQ(tenants_[0].View().open_until_ns, region::kOpenForAll);
  arbiter.reset();
  EXPECT_TRUE(Eventually([&] { return !tenants_[0].View().valid; })) << "the grant expires";
}

TEST_F(Threads, WhoIsNoLongerListedIsToldNothing) {
  tenants_.emplace_back(50);
  tenants_[0].Attach();
  std::atomic<bool> gone = false;
  const auto listing = Listing();
  const ArbiterThread arbiter(
      [&] { return gone ? std::vector<ArbitratedContainer>() : listing(); });
  ASSERT_TRUE(Eventually([&] { return tenants_[0].View().valid; }));
  gone = true;
  EXPECT_TRUE(Eventually([&] { return !tenants_[0].View().valid; }));
  EXPECT_TRUE(Eventually([&] { return arbiter.Report().gpus.empty(); }));
}

}  // namespace
}  // namespace tessera::agent
