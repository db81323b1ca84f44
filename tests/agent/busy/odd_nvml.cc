// NVML of odd drivers: what nvmlDeviceGetSamples does is chosen by odd_mode.
#include "tests/agent/busy/odd_nvml.h"

#include <time.h>
#include <unistd.h>

#include "common/abi/nvml.h"

using tessera::agent::OddMode;
using tessera::agent::OddNvml;

extern "C" OddNvml odd;
OddNvml odd;

nvmlReturn_t nvmlInit_v2() {
  ++odd.users;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlShutdown() {
  --odd.users;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char*, nvmlDevice_t* device) {
  *device = reinterpret_cast<nvmlDevice_t>(&odd);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t, nvmlSamplingType_t, unsigned long long since,
                                  nvmlValueType_t* type, unsigned int* count,
                                  nvmlSample_t* samples) {
  ++odd.calls;
  *type = NVML_VALUE_TYPE_UNSIGNED_INT;
  switch (odd.mode.load()) {
    case OddMode::kNotSupported:
      return NVML_ERROR_NOT_SUPPORTED;
    case OddMode::kOtherType:
      *type = NVML_VALUE_TYPE_DOUBLE;
      return NVML_SUCCESS;
    case OddMode::kHostile:
      for (unsigned int i = 0; i < *count; ++i) {
        samples[i].timeStamp = since + i * 1000;
        samples[i].sampleValue.uiVal = 101 + i * 100'000'000;
      }
      *count = ~0U;
      return NVML_SUCCESS;
    case OddMode::kHangs:
      while (odd.mode == OddMode::kHangs) usleep(1000);
      return NVML_ERROR_UNKNOWN;
    case OddMode::kWell:
      break;
  }
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  samples[0].timeStamp = static_cast<unsigned long long>(now.tv_sec) * 1'000'000 +
                         static_cast<unsigned long long>(now.tv_nsec) / 1000;
  samples[0].sampleValue.uiVal = 70;
  *count = 1;
  return NVML_SUCCESS;
}
