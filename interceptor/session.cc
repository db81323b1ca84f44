#include "interceptor/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <atomic>

#include "common/contract/names.h"
#include "interceptor/fork.h"
#include "interceptor/glibc.h"
#include "interceptor/limits_source.h"
#include "interceptor/region/region.h"
#include "interceptor/trace.h"

namespace tessera {
namespace {

enum State : int { kNotStarted, kReady, kRefused };

constinit Limits limits;
constinit region::Region shared;
constinit std::atomic<int> state = kNotStarted;
constinit pthread_once_t once = PTHREAD_ONCE_INIT;
constinit std::atomic<bool> tracing = false;

const char* StartSession() {
  if (const char* problem = LoadLimits(limits)) return problem;
  const char* directory = FindRegionDirectory();
  if (directory == nullptr) return "there is no region folder and TESSERA_REGION_DIR is not set";
  return shared.Attach(directory, {limits.devices, limits.count}, limits.policy);
}

void Start() {
  WatchForks();
  const char* level = getenv(names::kEnvLog);
  tracing.store(level != nullptr && strcmp(level, "debug") == 0, std::memory_order_relaxed);
  const char* problem = StartSession();
  if (problem != nullptr) (Line() << "CUDA calls are refused: " << problem).Write();
  state.store(problem == nullptr ? kReady : kRefused, std::memory_order_release);
}

void TraceRefusal(std::size_t device, std::uint64_t bytes, region::Outcome outcome) {
  if (!Tracing()) return;
  Line line;
  line << "refused " << bytes << " bytes on " << limits.devices[device].uuid << ": ";
  if (outcome == region::Outcome::kCorrupt) {
    line << "the region is damaged";
  } else {
    line << shared.Total(device) << " of " << limits.devices[device].limit_bytes << " in use";
  }
  line.Write();
}

}  // namespace

bool Tracing() { return tracing.load(std::memory_order_relaxed); }

namespace session {

bool Ready() {
  int now = state.load(std::memory_order_acquire);
  if (now == kNotStarted) {
    pthread_once(&once, Start);
    now = state.load(std::memory_order_acquire);
  }
  return now == kReady;
}

DeviceIndex FindDevice(const CUuuid& uuid) {
  for (std::size_t i = 0; i < limits.count; ++i) {
    if (UuidMatches(limits.devices[i].uuid, uuid)) return static_cast<DeviceIndex>(i);
  }
  return kNoDevice;
}

DeviceIndex FindDevice(const char* uuid_text) {
  for (std::size_t i = 0; i < limits.count; ++i) {
    if (SameUuidText(limits.devices[i].uuid, uuid_text)) return static_cast<DeviceIndex>(i);
  }
  return kNoDevice;
}

std::size_t DeviceCount() { return limits.count; }

bool TryReserve(DeviceIndex device, std::uint64_t bytes) {
  if (device == kNoDevice) {
    if (Tracing()) (Line() << "refused " << bytes << " bytes on a GPU without a limit").Write();
    return false;
  }
  const auto index = static_cast<std::size_t>(device);
  const region::Outcome outcome = shared.Reserve(index, bytes, limits.devices[index].limit_bytes);
  if (outcome == region::Outcome::kDone) return true;
  TraceRefusal(index, bytes, outcome);
  return false;
}

void Release(DeviceIndex device, std::uint64_t bytes) {
  if (device == kNoDevice || bytes == 0) return;
  shared.Release(static_cast<std::size_t>(device), bytes);
}

Usage UsageOf(DeviceIndex device) {
  if (device == kNoDevice) return {};
  const auto index = static_cast<std::size_t>(device);
  return {.limit_bytes = limits.devices[index].limit_bytes, .used_bytes = shared.Total(index)};
}

void CountLaunch(DeviceIndex device) { shared.CountLaunch(static_cast<std::size_t>(device)); }

void ForgetAfterFork() {
  shared.ForgetAfterFork();
  once = PTHREAD_ONCE_INIT;
  state.store(kNotStarted, std::memory_order_relaxed);
}

}  // namespace session
}  // namespace tessera
