// NVML of a sick driver: it can be opened, and the first question is never answered.
#include <unistd.h>

#include "common/abi/nvml.h"

nvmlReturn_t nvmlInit_v2() { return NVML_SUCCESS; }
nvmlReturn_t nvmlShutdown() { return NVML_SUCCESS; }
nvmlReturn_t nvmlSystemGetDriverVersion(char*, unsigned int) {
  for (;;) pause();
}
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int*) { return NVML_ERROR_UNKNOWN; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int, nvmlDevice_t*) {
  return NVML_ERROR_UNKNOWN;
}
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t, char*, unsigned int) { return NVML_ERROR_UNKNOWN; }
nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t, char*, unsigned int) { return NVML_ERROR_UNKNOWN; }
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t, nvmlMemory_t*) { return NVML_ERROR_UNKNOWN; }
