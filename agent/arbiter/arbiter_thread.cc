#include "agent/arbiter/arbiter_thread.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <set>
#include <utility>

#include "common/base/monotonic.h"

namespace tessera::agent {
namespace {

constexpr std::uint64_t kListEveryNs = 250'000'000;
/// So long at most it sleeps: how soon it sees that it has to end.
constexpr std::uint64_t kSleepNs = 100'000'000;
constexpr int kNice = -15;
/// Of all GPUs, in a time in which this thread should have looked ten times.
constexpr std::size_t kMostSamples = 1024;

void SleepUntil(std::uint64_t at_ns) {
  const timespec at = {.tv_sec = static_cast<time_t>(at_ns / 1'000'000'000),
                       .tv_nsec = static_cast<long>(at_ns % 1'000'000'000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
  }
}

/// A thread that is late costs every tenant. What is not allowed is done without.
void BePrompt() {
  prctl(PR_SET_NAME, "arbiter");
  prctl(PR_SET_TIMERSLACK, 1UL);
  setpriority(PRIO_PROCESS, 0, kNice);  // of this thread alone
}

}  // namespace

ArbiterThread::ArbiterThread(Provider containers)
    : provider_(std::move(containers)), thread_([this] { Run(); }) {}

ArbiterThread::~ArbiterThread() {
  stop_ = true;
  thread_.join();
}

ArbiterReport ArbiterThread::Report() const {
  const std::lock_guard lock(mu_);
  return report_;
}

void ArbiterThread::Run() {
  BePrompt();
  std::uint64_t next_list_ns = 0;
  while (!stop_) {
    std::uint64_t now_ns = NowNs();
    if (now_ns >= next_list_ns) {
      TakeContainers();
      WriteReport();
      next_list_ns = now_ns + kListEveryNs;
    }
    TakeSamples();
    std::uint64_t wake_ns = std::min(now_ns + kSleepNs, next_list_ns);
    for (auto& [uuid, gpu] : gpus_) {
      now_ns = NowNs();
      if (now_ns >= gpu.arbiter.look_at_ns()) Step(gpu, now_ns);
      wake_ns = std::min(wake_ns, gpu.arbiter.look_at_ns());
    }
    if (wake_ns > NowNs()) SleepUntil(wake_ns);
  }
}

void ArbiterThread::TakeContainers() {
  std::set<std::pair<std::string, std::string>> listed;
  for (ArbitratedContainer& container : provider_()) {
    if (!listed.emplace(container.gpu_uuid, container.region_path).second) continue;
    auto& member = gpus_[container.gpu_uuid].members[container.region_path];
    if (member == nullptr) {
      member = std::make_unique<Member>(std::move(container), ++last_key_);
    } else {
      member->container.policy = container.policy;
      member->container.percent = container.percent;
    }
  }
  for (auto& [uuid, gpu] : gpus_) {
    std::erase_if(gpu.members, [&](const auto& entry) {
      return !listed.contains({uuid, entry.first});
    });
  }
  std::erase_if(gpus_, [](const auto& entry) { return entry.second.members.empty(); });
}

void ArbiterThread::TellBusy(const std::string& gpu_uuid, std::span<const BusySample> samples) {
  const std::lock_guard lock(mu_);
  for (const BusySample& sample : samples) {
    if (samples_.size() < kMostSamples) samples_.emplace_back(gpu_uuid, sample);
  }
}

void ArbiterThread::TakeSamples() {
  std::vector<std::pair<std::string, BusySample>> samples;
  {
    const std::lock_guard lock(mu_);
    samples.swap(samples_);
  }
  for (const auto& [uuid, sample] : samples) {
    const auto gpu = gpus_.find(uuid);
    if (gpu != gpus_.end()) gpu->second.calibration.Take(sample);
  }
}

void ArbiterThread::Look(Gpu& gpu, std::uint64_t now_ns) {
  // All gates have been as the last step had them.
  const ArbiterMode mode = gpu.arbiter.mode();
  gpu.seen.clear();
  gpu.counts.clear();
  gpu.demands.clear();
  for (auto& [path, member] : gpu.members) {
    const RegionPort::Demand demand = member->port.Look(now_ns);
    gpu.demands.push_back(demand);
    if (demand.attached) {
      gpu.counts.push_back({.key = member->key,
                            .used_ns = demand.used_ns,
                            .launches = demand.launches,
                            .shallow_launches = demand.shallow_launches});
    }
  }
  gpu.calibration.Look(now_ns, gpu.counts, mode == ArbiterMode::kWindows);
  std::size_t row = 0;
  for (auto& [path, member] : gpu.members) {
    const RegionPort::Demand& demand = gpu.demands[row++];
    const bool held = demand.held && !demand.running;
    const bool waits = held || (demand.wanting && !demand.running);
    const bool presses = member->pressure.Take({.now_ns = now_ns,
                                                .used_ns = gpu.calibration.CountedNs(member->key),
                                                .throttled_ns = demand.throttled_ns,
                                                .running = demand.running,
                                                .waiting = waits,
                                                .held = held,
                                                .full = gpu.calibration.MayBeFull(now_ns),
                                                .counted = mode != ArbiterMode::kFree});
    gpu.seen.push_back({.key = member->key,
                        .policy = member->container.policy,
                        .percent = member->container.percent,
                        .attached = demand.attached,
                        .wanting = demand.wanting,
                        .running = demand.running,
                        .presses = presses,
                        .occupies_permille = member->pressure.occupies_permille(),
                        .launches = demand.launches});
  }
}

void ArbiterThread::Step(Gpu& gpu, std::uint64_t now_ns) {
  Look(gpu, now_ns);
  const std::vector<TenantGrant>& grants = gpu.arbiter.Step(now_ns, gpu.seen);
  const bool windows = gpu.arbiter.mode() == ArbiterMode::kWindows;
  std::size_t row = 0;
  for (auto& [path, member] : gpu.members) {
    TenantGrant grant = grants[row++];
    grant.work_permille = gpu.calibration.Tell(member->key, windows);
    member->port.Tell(grant, now_ns);
  }
  // The next look must not be older than what was written now (grant.h).
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ArbiterThread::WriteReport() {
  ArbiterReport report;
  for (const auto& [uuid, gpu] : gpus_) {
    ArbiterReport::Gpu& one = report.gpus.emplace_back();
    one.uuid = uuid;
    one.windows = gpu.arbiter.mode() == ArbiterMode::kWindows;
    one.windows_total = gpu.arbiter.windows_total();
    one.overruns_total = gpu.arbiter.overruns_total();
    for (const auto& [path, member] : gpu.members) {
      if (const TenantTotals* const totals = gpu.arbiter.TotalsOf(member->key)) {
        one.containers.push_back({.region_path = path, .totals = *totals});
      }
    }
  }
  const std::lock_guard lock(mu_);
  report_ = std::move(report);
}

}  // namespace tessera::agent
