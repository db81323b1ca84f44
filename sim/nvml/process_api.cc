#include <algorithm>
#include <chrono>
#include <cmath>

#include "sim/nvml/library.h"

// Which processes use a GPU, and how much of it.

using namespace tessera::sim::nvml;
using tessera::sim::gpu::ProcessUse;

namespace {

/// The room for samples that NVML asks for, however few there are.
constexpr unsigned int kSampleRoom = 100;
constexpr unsigned int kNoInstance = 0xffffffff;

unsigned int Percent(double share) {
  return static_cast<unsigned int>(std::lround(std::clamp(share, 0.0, 1.0) * 100));
}

void Fill(nvmlProcessInfo_v1_t& info, const ProcessUse& process) {
  info = {static_cast<unsigned int>(process.pid), process.used_bytes};
}
void Fill(nvmlProcessInfo_v2_t& info, const ProcessUse& process) {
  info = {static_cast<unsigned int>(process.pid), process.used_bytes, kNoInstance, kNoInstance};
}

void Fill(unsigned int& pid, const ProcessUse& process) {
  // Accounting is always on here, for the processes that live.
  pid = static_cast<unsigned int>(process.pid);
}
void Fill(nvmlProcessDetail_v1_t& info, const ProcessUse& process) {
  info = {static_cast<unsigned int>(process.pid), process.used_bytes, kNoInstance, kNoInstance, 0};
}

/// NVML's protocol: too small an array (also none at all) gets NVML_ERROR_INSUFFICIENT_SIZE and the
/// number that is needed.
template <typename Info>
nvmlReturn_t Processes(nvmlDevice_t device, unsigned int* count, Info* infos) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  const auto processes = found.device->state->Processes();
  const auto needed = static_cast<unsigned int>(processes.size());
  const unsigned int room = *count;
  *count = needed;
  if (needed == 0) return NVML_SUCCESS;
  if (room < needed) return NVML_ERROR_INSUFFICIENT_SIZE;
  if (infos == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  for (unsigned int i = 0; i < needed; ++i) Fill(infos[i], processes[i]);
  return NVML_SUCCESS;
}

/// No simulated process draws, and there is no MPS.
nvmlReturn_t NoProcesses(nvmlDevice_t device, unsigned int* count) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *count = 0;
  return NVML_SUCCESS;
}

unsigned long long WallMicroseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<unsigned long long>(
      std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
                                             nvmlProcessUtilizationSample_t* samples,
                                             unsigned int* count, unsigned long long since) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  const auto processes = found.device->state->Processes();
  if (samples == nullptr || *count < kSampleRoom) {
    *count = kSampleRoom;
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  const auto needed =
      static_cast<unsigned int>(std::min<std::size_t>(processes.size(), kSampleRoom));
  const unsigned long long now = WallMicroseconds();
  *count = since >= now ? 0 : needed;
  if (*count == 0) return NVML_ERROR_NOT_FOUND;
  for (unsigned int i = 0; i < needed; ++i) {
    samples[i] = {};
    samples[i].pid = static_cast<unsigned int>(processes[i].pid);
    samples[i].timeStamp = now;
    samples[i].smUtil = Percent(processes[i].recent_share);
    samples[i].memUtil = Percent(processes[i].recent_share / 2);
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int* count,
                                                  nvmlProcessInfo_v1_t* infos) {
  return Processes(device, count, infos);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_v2_t* infos) {
  return Processes(device, count, infos);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_t* infos) {
  return Processes(device, count, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t device, unsigned int* count,
                                                   nvmlProcessInfo_v1_t*) {
  return NoProcesses(device, count);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t device, unsigned int* count,
                                                      nvmlProcessInfo_v2_t*) {
  return NoProcesses(device, count);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                      nvmlProcessInfo_t*) {
  return NoProcesses(device, count);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_v1_t*) {
  return NoProcesses(device, count);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int* count,
                                                        nvmlProcessInfo_v2_t*) {
  return NoProcesses(device, count);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                        nvmlProcessInfo_t*) {
  return NoProcesses(device, count);
}

nvmlReturn_t nvmlDeviceGetAccountingPids(nvmlDevice_t device, unsigned int* count,
                                         unsigned int* pids) {
  return Processes(device, count, pids);
}

nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device,
                                                   nvmlProcessDetailList_t* list) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (list == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (list->version != nvmlProcessDetailList_v1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  if (list->mode != 0) return NoProcesses(device, &list->numProcArrayEntries);
  return Processes(device, &list->numProcArrayEntries, list->procArray);
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
                                                   nvmlProcessesUtilizationInfo_t* info) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (info == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (info->version != nvmlProcessesUtilizationInfo_v1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  nvmlProcessUtilizationSample_t samples[kSampleRoom];
  const bool has_room = info->procUtilArray != nullptr;
  const nvmlReturn_t result = nvmlDeviceGetProcessUtilization(
      device, has_room ? samples : nullptr, &info->processSamplesCount, info->lastSeenTimeStamp);
  if (result != NVML_SUCCESS) return result;
  for (unsigned int i = 0; i < info->processSamplesCount; ++i) {
    const auto& sample = samples[i];
    info->procUtilArray[i] = {};
    info->procUtilArray[i].timeStamp = sample.timeStamp;
    info->procUtilArray[i].pid = sample.pid;
    info->procUtilArray[i].smUtil = sample.smUtil;
    info->procUtilArray[i].memUtil = sample.memUtil;
  }
  return NVML_SUCCESS;
}

}  // extern "C"
