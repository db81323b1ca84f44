#include "interceptor/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <atomic>

#include "common/contract/names.h"
#include "interceptor/current_limits.h"
#include "interceptor/fork.h"
#include "interceptor/glibc.h"
#include "interceptor/hot.h"
#include "interceptor/limits_source.h"
#include "interceptor/pool_account.h"
#include "interceptor/region/lock.h"
#include "interceptor/region/region.h"
#include "interceptor/trace.h"

namespace tessera {
namespace {

constinit std::atomic<std::uint64_t> reaped_ms =
    0;  ///< when a query last looked for dead processes

constinit pthread_mutex_t resize_mutex = PTHREAD_MUTEX_INITIALIZER;
[[TESSERA_HOT]] constinit region::Region shared;
constinit pthread_once_t once = PTHREAD_ONCE_INIT;
[[TESSERA_HOT_WORD]] constinit std::atomic<bool> tracing = false;

const char* StartSession() {
  if (const char* problem = current_limits::Load()) return problem;
  const char* directory = FindRegionDirectory();
  if (directory == nullptr) return "there is no region folder and TESSERA_REGION_DIR is not set";
  const Limits& limits = current_limits::AtStart();
  return shared.Attach(directory, {limits.devices, limits.count}, limits.policy);
}

void Start() {
  WatchForks();
  const char* level = getenv(names::kEnvLog);
  tracing.store(level != nullptr && strcmp(level, "debug") == 0, std::memory_order_relaxed);
  const char* problem = StartSession();
  if (problem != nullptr) (Line() << "CUDA calls are refused: " << problem).Write();
  session::started::state.store(
      problem == nullptr ? session::started::kReady : session::started::kRefused,
      std::memory_order_release);
}

std::uint64_t HostLimitBytes(std::size_t device) {
  const std::uint64_t limit = current_limits::HostOf(device);
  return limit == 0 || shared.IsUnfitForHostMemory(device) ? 0 : limit;
}

/// Takes memory and cores from the limits file if they changed, and tells them the agent.
[[gnu::cold]] void FollowLimits() {
  const region::Lock lock(resize_mutex);
  Limits told;
  if (!current_limits::Reload(told)) return;
  shared.PublishLimits({told.devices, told.count}, current_limits::AtStart().policy);
  if (Tracing()) (Line() << "limits were changed").Write();
}

[[gnu::hot]] void FollowLimitsEachSecond() {
  if (current_limits::IsLookDue()) [[unlikely]]
    FollowLimits();
}

/// Somebody else has something in the account, who may be dead.
bool OthersHave(const region::AccountUse& use) { return use.total_bytes != use.lane_bytes; }

/// What dead processes had is not in use. Looking for them costs some 20 us for each other process,
/// so it is not done more often than once in 10 ms. True if there was one.
[[gnu::cold]] bool ReturnWhatTheDeadHad() {
  constexpr std::uint64_t kPause = 10;
  timespec clock = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &clock);
  const std::uint64_t now_ms = static_cast<std::uint64_t>(clock.tv_sec) * 1000 +
                               static_cast<std::uint64_t>(clock.tv_nsec) / 1'000'000;
  const std::uint64_t last_ms = reaped_ms.load(std::memory_order_relaxed);
  if (now_ms - last_ms < kPause) return false;
  reaped_ms.store(now_ms, std::memory_order_relaxed);
  return shared.Reap();
}

[[gnu::cold]] void TraceRefusal(std::size_t device, std::uint64_t bytes, region::Outcome outcome) {
  if (!Tracing()) return;
  Line line;
  line << "refused " << bytes << " bytes on " << current_limits::AtStart().devices[device].uuid
       << ": ";
  if (outcome == region::Outcome::kCorrupt) {
    line << "the region is damaged";
  } else {
    line << shared.Total(device) << " of " << current_limits::MemoryOf(device) << " in use";
    if (const std::uint64_t host = HostLimitBytes(device); host != 0) {
      line << ", of host memory " << shared.Total(region::HostAccountOf(device)) << " of " << host;
    }
  }
  line.Write();
}

/// Looks at everything that may make room before it says no.
[[gnu::hot]] region::Outcome Reserve(session::DeviceIndex device, std::uint64_t bytes) {
  const auto index = static_cast<std::size_t>(device);
  FollowLimitsEachSecond();
  const std::uint64_t limit = current_limits::MemoryOf(index);
  region::Outcome outcome = shared.Reserve(index, bytes, limit);
  if (outcome == region::Outcome::kOverLimit && current_limits::MayChange()) {
    FollowLimits();
    const std::uint64_t now = current_limits::MemoryOf(index);
    if (now > limit) outcome = shared.Reserve(index, bytes, now);
  }
  if (outcome == region::Outcome::kOverLimit && ShrinkPools(device)) {
    outcome = shared.Reserve(index, bytes, current_limits::MemoryOf(index));
  }
  return outcome;
}

[[gnu::cold]] void Refuse(std::size_t device, std::uint64_t bytes, region::Outcome outcome) {
  shared.CountDenied(device);
  TraceRefusal(device, bytes, outcome);
}

[[gnu::cold]] void RefuseWithoutLimit(std::uint64_t bytes) {
  if (Tracing()) (Line() << "refused " << bytes << " bytes on a GPU without a limit").Write();
}

}  // namespace

bool Tracing() { return tracing.load(std::memory_order_relaxed); }

namespace session {

namespace started {

[[TESSERA_HOT_WORD]] constinit std::atomic<int> state = kNotStarted;

bool Start() {
  if (state.load(std::memory_order_acquire) == kNotStarted) pthread_once(&once, tessera::Start);
  return state.load(std::memory_order_acquire) == kReady;
}

}  // namespace started

DeviceIndex FindDevice(const CUuuid& uuid) {
  const Limits& limits = current_limits::AtStart();
  for (std::size_t i = 0; i < limits.count; ++i) {
    if (UuidMatches(limits.devices[i].uuid, uuid)) return static_cast<DeviceIndex>(i);
  }
  return kNoDevice;
}

DeviceIndex FindDevice(const char* uuid_text) {
  const Limits& limits = current_limits::AtStart();
  for (std::size_t i = 0; i < limits.count; ++i) {
    if (SameUuidText(limits.devices[i].uuid, uuid_text)) return static_cast<DeviceIndex>(i);
  }
  return kNoDevice;
}

const char* UuidOf(DeviceIndex device) {
  return current_limits::AtStart().devices[static_cast<std::size_t>(device)].uuid;
}

std::uint64_t ContextBytes(DeviceIndex device) {
  return shared.ContextBytes(static_cast<std::size_t>(device));
}

void LearnContextBytes(DeviceIndex device, std::uint64_t bytes) {
  shared.LearnContextBytes(static_cast<std::size_t>(device), bytes);
}

std::size_t DeviceCount() { return current_limits::AtStart().count; }

void Prefetch() {
  if (started::state.load(std::memory_order_acquire) == started::kReady) shared.Prefetch(0);
}

bool TryReserve(DeviceIndex device, std::uint64_t bytes, Refusal refusal) {
  if (device == kNoDevice) {
    if (refusal == Refusal::kFinal) RefuseWithoutLimit(bytes);
    return false;
  }
  const region::Outcome outcome = Reserve(device, bytes);
  if (outcome == region::Outcome::kDone) return true;
  if (refusal == Refusal::kFinal) Refuse(static_cast<std::size_t>(device), bytes, outcome);
  return false;
}

Account TryReserveAnywhere(DeviceIndex device, std::uint64_t bytes) {
  if (device == kNoDevice) [[unlikely]] {
    RefuseWithoutLimit(bytes);
    return kNoAccount;
  }
  region::Outcome outcome = Reserve(device, bytes);
  if (outcome == region::Outcome::kDone) [[likely]]
    return device;
  const auto index = static_cast<std::size_t>(device);
  const std::uint64_t host_limit = HostLimitBytes(index);
  if (outcome == region::Outcome::kOverLimit && host_limit != 0) {
    outcome = shared.Reserve(region::HostAccountOf(index), bytes, host_limit);
  }
  if (outcome == region::Outcome::kDone) return HostAccountOf(device);
  Refuse(index, bytes, outcome);
  return kNoAccount;
}

void ChargeAnyway(DeviceIndex device, std::uint64_t bytes) {
  if (device == kNoDevice || bytes == 0) return;
  shared.Reserve(static_cast<std::size_t>(device), bytes, region::kMaxBytes);
}

void Release(Account account, std::uint64_t bytes) {
  if (account == kNoAccount || bytes == 0) return;
  shared.Release(static_cast<std::size_t>(account), bytes);
}

Usage UsageOf(DeviceIndex device) {
  if (device == kNoDevice) [[unlikely]]
    return {};
  FollowLimitsEachSecond();
  const auto index = static_cast<std::size_t>(device);
  const std::size_t host = region::HostAccountOf(index);
  const std::uint64_t host_limit = HostLimitBytes(index);
  region::AccountUse use = shared.UseOf(index);
  region::AccountUse host_use = host_limit == 0 ? region::AccountUse{} : shared.UseOf(host);
  if ((OthersHave(use) || OthersHave(host_use)) && ReturnWhatTheDeadHad()) {
    use = shared.UseOf(index);
    if (host_limit != 0) host_use = shared.UseOf(host);
  }
  return {.limit_bytes = current_limits::MemoryOf(index),
          .used_bytes = use.total_bytes,
          .host_limit_bytes = host_limit,
          .host_used_bytes = host_use.total_bytes};
}

void RefuseHostMemory(DeviceIndex device) {
  shared.MarkUnfitForHostMemory(static_cast<std::size_t>(device));
}

bool IsOurs(std::uint64_t pid, DeviceIndex device, std::uint64_t& used_bytes) {
  const auto slot = shared.SlotOfPid(pid);
  if (!slot) return false;
  used_bytes = 0;
  if (device == kNoDevice) return true;
  const auto index = static_cast<std::size_t>(device);
  used_bytes = shared.BytesOfSlot(*slot, index);
  if (HostLimitBytes(index) != 0) {
    used_bytes += shared.BytesOfSlot(*slot, region::HostAccountOf(index));
  }
  return true;
}

Law LawOf(DeviceIndex device, std::uint64_t now_ns) {
  if (current_limits::IsSecondOver()) FollowLimits();
  const std::uint32_t cores = current_limits::CoresOf(static_cast<std::size_t>(device));
  const bool asks_for_share = cores >= 1 && cores < 100;
  const region::GrantView grant =
      region::ReadGrant(shared.Grant(static_cast<std::size_t>(device)), now_ns);
  const region::Policy policy = current_limits::AtStart().policy;
  const bool keeps_it = policy == region::Policy::kFixedShare ||
                        (policy == region::Policy::kBurstShare && !grant.valid);
  Law law{.percent = asks_for_share && keeps_it ? cores : 0, .arbitrated = grant.valid};
  if (!grant.valid) return law;
  law.open_until_ns = grant.open_until_ns;
  law.likely_open_ns = grant.likely_open_ns;
  law.work_permille = grant.work_permille;
  return law;
}

void SetWaiting(DeviceIndex device, region::WaitsFor what) {
  shared.SetWaiting(static_cast<std::size_t>(device), what);
}

void SetRunning(DeviceIndex device, bool on) {
  shared.SetRunning(static_cast<std::size_t>(device), on);
}

region::Pace& PaceOf(DeviceIndex device) { return shared.Pace(static_cast<std::size_t>(device)); }

std::uint64_t LaunchesOf(DeviceIndex device) {
  return shared.OwnLaunches(static_cast<std::size_t>(device));
}

void CountLaunch(DeviceIndex device) { shared.CountLaunch(static_cast<std::size_t>(device)); }

region::Word& ThreadLaunches(DeviceIndex device, std::size_t index) {
  return shared.ThreadLaunches(static_cast<std::size_t>(device), index);
}

void ForgetAfterFork() {
  shared.ForgetAfterFork();
  current_limits::ForgetAfterFork();
  resize_mutex = PTHREAD_MUTEX_INITIALIZER;
  once = PTHREAD_ONCE_INIT;
  started::state.store(started::kNotStarted, std::memory_order_relaxed);
}

}  // namespace session
}  // namespace tessera
