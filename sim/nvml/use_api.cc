#include <algorithm>
#include <chrono>
#include <cmath>

#include "sim/nvml/library.h"

using namespace tessera::sim::nvml;
using tessera::sim::gpu::ProcessUse;

namespace {

/// The room for samples that NVML asks for, however few there are.
constexpr unsigned int kSampleRoom = 100;
constexpr unsigned int kNoInstance = 0xffffffff;

struct Memory {
  unsigned long long total = 0;
  unsigned long long used = 0;
};

Memory MemoryOf(const Found& found) {
  const unsigned long long total = found.config.memory_bytes();
  return {total, std::min<unsigned long long>(total, found.device->state->used_bytes())};
}

unsigned int Percent(double share) {
  return static_cast<unsigned int>(std::lround(std::clamp(share, 0.0, 1.0) * 100));
}

void Fill(nvmlProcessInfo_v1_t& info, const ProcessUse& process) {
  info = {static_cast<unsigned int>(process.pid), process.used_bytes};
}
void Fill(nvmlProcessInfo_v2_t& info, const ProcessUse& process) {
  info = {static_cast<unsigned int>(process.pid), process.used_bytes, kNoInstance, kNoInstance};
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

unsigned long long WallMicroseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<unsigned long long>(
      std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (memory == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  const Memory now = MemoryOf(found);
  *memory = {now.total, now.total - now.used, now.used};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (memory == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (memory->version != nvmlMemory_v2) return NVML_ERROR_FUNCTION_NOT_FOUND;
  const Memory now = MemoryOf(found);
  *memory = {nvmlMemory_v2, now.total, 0, now.total - now.used, now.used};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* utilization) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (utilization == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  double share = 0;
  for (const ProcessUse& process : found.device->state->Processes()) share += process.recent_share;
  *utilization = {Percent(share), Percent(share / 2)};
  return NVML_SUCCESS;
}

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

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor,
                                      unsigned int* celsius) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (celsius == nullptr || sensor != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
  *celsius = 42;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int* milliwatts) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (milliwatts == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *milliwatts = 120000;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned int* milliwatts) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (milliwatts == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *milliwatts = 700000;
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

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                      nvmlProcessInfo_t*) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *count = 0;
  return NVML_SUCCESS;
}

}  // extern "C"
