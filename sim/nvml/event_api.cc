#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "sim/gpu/environment.h"
#include "sim/nvml/library.h"

using namespace tessera::sim::nvml;
using tessera::sim::gpu::Health;

namespace {

using Clock = std::chrono::steady_clock;

/// Each registered GPU with the health of which its last event told. A GPU that is sick when it is
/// registered gives its event at the first wait: a real one would raise it again and again.
struct EventSet {
  std::mutex mu;  ///< guards the next
  std::map<nvmlDevice_t, Health> told;
  int inotify_fd = -1;

  ~EventSet() {
    if (inotify_fd >= 0) close(inotify_fd);
  }
};

struct Sets {
  std::mutex mu;  ///< guards the next
  std::map<nvmlEventSet_t, std::shared_ptr<EventSet>> by_handle;
};

Sets& AllSets() {
  static Sets& sets = *new Sets;
  return sets;
}

std::shared_ptr<EventSet> FindSet(nvmlEventSet_t handle) {
  Sets& sets = AllSets();
  const std::lock_guard lock(sets.mu);
  const auto found = sets.by_handle.find(handle);
  return found == sets.by_handle.end() ? nullptr : found->second;
}

/// Watches the folder, since a file is often replaced rather than written.
int WatchConfig() {
  const auto path = tessera::sim::gpu::Environment(tessera::sim::gpu::kEnvGpus);
  if (!path || path->empty()) return -1;
  const auto slash = path->rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path->substr(0, slash + 1);
  const int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) return -1;
  if (inotify_add_watch(fd, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

unsigned long long XidOf(const tessera::sim::gpu::GpuConfig& config) {
  if (config.xid != 0) return static_cast<unsigned long long>(config.xid);
  return config.health == Health::kLost ? 79 : 48;
}

/// True, with `data` filled, if a registered GPU has become sick or lost.
bool NextEvent(EventSet& set, nvmlEventData_t& data) {
  const std::lock_guard lock(set.mu);
  for (auto& [handle, told] : set.told) {
    const Found found = FindEvenLost(handle);
    if (!found || found.config.health == told) continue;
    told = found.config.health;
    if (told == Health::kHealthy) continue;
    data = {};
    data.device = handle;
    data.eventType = nvmlEventTypeXidCriticalError;
    data.eventData = XidOf(found.config);
    data.gpuInstanceId = 0xffffffff;
    data.computeInstanceId = 0xffffffff;
    return true;
  }
  return false;
}

nvmlReturn_t Wait(EventSet& set, nvmlEventData_t& data, unsigned int timeout_ms) {
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    if (NextEvent(set, data)) return NVML_SUCCESS;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) return NVML_ERROR_TIMEOUT;
    pollfd watched{set.inotify_fd, POLLIN, 0};
    poll(&watched, 1, static_cast<int>(std::min<long long>(left, 60'000)));
    alignas(inotify_event) char buffer[4096];
    while (set.inotify_fd >= 0 && read(set.inotify_fd, buffer, sizeof(buffer)) > 0) {
    }
  }
}

nvmlReturn_t WaitChecked(nvmlEventSet_t handle, nvmlEventData_t* data, unsigned int timeout_ms) {
  if (const nvmlReturn_t error = Ready()) return error;
  const auto set = FindSet(handle);
  if (set == nullptr || data == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return Wait(*set, *data, timeout_ms);
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long* types) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (types == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *types = nvmlEventTypeXidCriticalError;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t* handle) {
  if (const nvmlReturn_t error = Ready()) return error;
  if (handle == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  auto set = std::make_shared<EventSet>();
  set->inotify_fd = WatchConfig();
  *handle = reinterpret_cast<nvmlEventSet_t>(set.get());
  Sets& sets = AllSets();
  const std::lock_guard lock(sets.mu);
  sets.by_handle.emplace(*handle, std::move(set));
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types,
                                      nvmlEventSet_t handle) {
  const Found found = FindEvenLost(device);
  if (!found) return found.error;
  const auto set = FindSet(handle);
  if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if ((types & ~nvmlEventTypeXidCriticalError) != 0) return NVML_ERROR_NOT_SUPPORTED;
  const std::lock_guard lock(set->mu);
  if (types != nvmlEventTypeNone) set->told.emplace(device, Health::kHealthy);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t* data, unsigned int timeout_ms) {
  return WaitChecked(set, data, timeout_ms);
}
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t* data,
                                 unsigned int timeout_ms) {
  return WaitChecked(set, data, timeout_ms);
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t handle) {
  if (const nvmlReturn_t error = Ready()) return error;
  Sets& sets = AllSets();
  const std::lock_guard lock(sets.mu);
  return sets.by_handle.erase(handle) == 1 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

}  // extern "C"
