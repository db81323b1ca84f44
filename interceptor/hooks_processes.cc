#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#include "common/abi/nvml.h"
#include "interceptor/driver.h"
#include "interceptor/scope.h"
#include "interceptor/session.h"

// NVML lists the processes of a whole GPU; a container is shown its own, with the bytes that they
// are charged with, so that the list adds up to what the memory queries tell.

namespace tessera {
namespace {

/// NVML wants room for all processes of the GPU, of which the caller need not know.
template <typename Info>
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { Unmap(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  Info* data() { return mapped_ == nullptr ? small_ : mapped_; }
  unsigned int room() const { return room_; }
  bool Grow(unsigned int needed) {
    Unmap();
    needed += kSmall;  // others may start meanwhile
    void* const memory = mmap(nullptr, needed * sizeof(Info), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    mapped_ = static_cast<Info*>(memory);
    room_ = needed;
    return true;
  }

 private:
  void Unmap() {
    if (mapped_ != nullptr) munmap(mapped_, room_ * sizeof(Info));
    mapped_ = nullptr;
    room_ = kSmall;
  }

  static constexpr unsigned int kSmall = 64;
  Info small_[kSmall];
  Info* mapped_ = nullptr;
  unsigned int room_ = kSmall;
};

constexpr int kAttempts = 8;

session::DeviceIndex IndexOf(nvmlDevice_t device) {
  char uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE] = {};
  const nvmlReturn_t result = RealNvml().nvmlDeviceGetUUID(device, uuid, sizeof(uuid));
  return result == NVML_SUCCESS ? session::FindDevice(uuid) : session::kNoDevice;
}

std::uint32_t& PidOf(unsigned int& pid) { return pid; }
template <typename Info>
std::uint32_t& PidOf(Info& info) {
  return info.pid;
}

template <typename Info>
void TellBytes(Info& info, std::uint64_t bytes) {
  if constexpr (requires { info.usedGpuMemory; }) info.usedGpuMemory = bytes;
}

/// Moves the container's own entries to the front; returns how many there are.
template <typename Info>
unsigned int KeepOurs(nvmlDevice_t device, Info* infos, unsigned int count) {
  const session::DeviceIndex index = IndexOf(device);
  unsigned int kept = 0;
  for (unsigned int i = 0; i < count; ++i) {
    std::uint64_t bytes = 0;
    if (!session::IsOurs(PidOf(infos[i]), index, bytes)) continue;
    TellBytes(infos[i], bytes);
    infos[kept++] = infos[i];
  }
  return kept;
}

/// For calls that take an array and its length: asks for the whole list, and answers as NVML would
/// if there were no other processes.
template <typename Info, typename Ask>
nvmlReturn_t TellList(nvmlDevice_t device, unsigned int* count, Info* infos, const Ask& ask) {
  if (count == nullptr) return ask(nullptr, infos);
  if (!session::Ready()) return NVML_ERROR_NO_PERMISSION;
  Scratch<Info> all;
  nvmlReturn_t result = NVML_ERROR_INSUFFICIENT_SIZE;
  unsigned int listed = 0;
  for (int i = 0; i < kAttempts && result == NVML_ERROR_INSUFFICIENT_SIZE; ++i) {
    if (i > 0 && !all.Grow(listed)) return NVML_ERROR_MEMORY;
    listed = all.room();
    result = ask(&listed, all.data());
  }
  if (result != NVML_SUCCESS) return result;
  const unsigned int kept = KeepOurs(device, all.data(), listed);
  const unsigned int room = *count;
  *count = kept;
  if (kept == 0) return NVML_SUCCESS;
  if (room < kept) return NVML_ERROR_INSUFFICIENT_SIZE;
  if (infos == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  for (unsigned int i = 0; i < kept; ++i) infos[i] = all.data()[i];
  return NVML_SUCCESS;
}

/// For calls that want room for samples, whatever their number: strikes the others' out of what the
/// driver has filled in. Nothing left is what NVML calls not found.
template <typename Info>
nvmlReturn_t TellSamples(nvmlReturn_t result, nvmlDevice_t device, Info* infos,
                         unsigned int& count) {
  if (result != NVML_SUCCESS || infos == nullptr) return result;
  if (!session::Ready()) {
    count = 0;
    return NVML_ERROR_NO_PERMISSION;
  }
  count = KeepOurs(device, infos, count);
  return count == 0 ? NVML_ERROR_NOT_FOUND : NVML_SUCCESS;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

#define TESSERA_PROCESS_LIST(function, Info)                                         \
  nvmlReturn_t function(nvmlDevice_t device, unsigned int* count, Info* infos) {     \
    const HookScope scope;                                                           \
    const auto ask = [&](unsigned int* room, Info* into) {                           \
      return RealNvml().function(device, room, into);                                \
    };                                                                               \
    return scope.nested() ? ask(count, infos) : TellList(device, count, infos, ask); \
  }

TESSERA_PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses, nvmlProcessInfo_v1_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v2, nvmlProcessInfo_v2_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v3, nvmlProcessInfo_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_t)
TESSERA_PROCESS_LIST(nvmlDeviceGetAccountingPids, unsigned int)

nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device,
                                                   nvmlProcessDetailList_t* list) {
  const HookScope scope;
  const nvmlReturn_t result = RealNvml().nvmlDeviceGetRunningProcessDetailList(device, list);
  if (scope.nested() || list == nullptr) return result;
  const nvmlReturn_t told = TellSamples(result, device, list->procArray, list->numProcArrayEntries);
  return told == NVML_ERROR_NOT_FOUND ? NVML_SUCCESS : told;
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
                                             nvmlProcessUtilizationSample_t* samples,
                                             unsigned int* count, unsigned long long since) {
  const HookScope scope;
  const nvmlReturn_t result =
      RealNvml().nvmlDeviceGetProcessUtilization(device, samples, count, since);
  if (scope.nested() || count == nullptr) return result;
  return TellSamples(result, device, samples, *count);
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
                                                   nvmlProcessesUtilizationInfo_t* info) {
  const HookScope scope;
  const nvmlReturn_t result = RealNvml().nvmlDeviceGetProcessesUtilizationInfo(device, info);
  if (scope.nested() || info == nullptr) return result;
  return TellSamples(result, device, info->procUtilArray, info->processSamplesCount);
}
