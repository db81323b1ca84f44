#include "interceptor/current_limits.h"

#include "interceptor/hot.h"
#include "interceptor/limits_source.h"
#include "interceptor/trace.h"

namespace tessera::current_limits {
namespace {

constinit Limits at_start;
constinit LimitsSource source;
constinit std::atomic<std::uint32_t> cores_percent[region::kMaxDevices] = {};

void TakeNumbers(const Limits& from) {
  for (std::size_t i = 0; i < from.count; ++i) {
    numbers::Often::Limit& limit = numbers::often.limits[i];
    limit.memory.store(from.devices[i].limit_bytes, std::memory_order_relaxed);
    limit.host.store(from.devices[i].host_bytes, std::memory_order_relaxed);
    cores_percent[i].store(from.devices[i].cores_percent, std::memory_order_relaxed);
  }
}

}  // namespace

namespace numbers {
[[TESSERA_HOT]] constinit Often often;
constinit thread_local std::uint8_t unasked = 0;
}  // namespace numbers

const char* Load() {
  if (const char* problem = LoadLimits(at_start, source)) return problem;
  TakeNumbers(at_start);
  numbers::often.resizable.store(source.path[0] != '\0', std::memory_order_relaxed);
  return nullptr;
}

const Limits& AtStart() { return at_start; }

bool Reload(Limits& told) {
  const char* problem = nullptr;
  if (!ReloadLimits(source, told, problem)) return false;
  if (problem == nullptr && !SameDevices(at_start, told))
    problem = "the limits name other GPUs now";
  if (problem != nullptr) {
    if (Tracing()) (Line() << "limits stay as they were: " << problem).Write();
    return false;
  }
  TakeNumbers(told);
  return true;
}

std::uint32_t CoresOf(std::size_t device) {
  return cores_percent[device].load(std::memory_order_relaxed);
}

void ForgetAfterFork() { numbers::often.watchers.store(0, std::memory_order_relaxed); }

}  // namespace tessera::current_limits
