#include <algorithm>
#include <cmath>

#include "sim/nvml/library.h"

using namespace tessera::sim::nvml;
using tessera::sim::gpu::ProcessUse;

namespace {

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

}  // extern "C"
