#include <algorithm>

#include "common/abi/nvml.h"
#include "interceptor/driver.h"
#include "interceptor/scope.h"
#include "interceptor/session.h"

// NVML tells of the card; a container is told of its share. NVML_ERROR_NO_PERMISSION without valid
// limits.

namespace tessera {
namespace {

template <typename Memory>
nvmlReturn_t TellShare(nvmlDevice_t device, Memory& memory) {
  if (!session::Ready()) return NVML_ERROR_NO_PERMISSION;
  char uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE] = {};
  const nvmlReturn_t result = RealNvml().nvmlDeviceGetUUID(device, uuid, sizeof(uuid));
  if (result != NVML_SUCCESS) return result;
  const session::Usage usage = session::UsageOf(session::FindDevice(uuid));
  const unsigned long long share = std::min<unsigned long long>(memory.total, usage.limit_bytes);
  const unsigned long long used = std::min<unsigned long long>(usage.used_bytes, share);
  const unsigned long long host_left = usage.host_left_bytes();
  memory.used = used + (usage.host_limit_bytes - host_left);
  memory.free = std::min(memory.free, share - used) + host_left;
  memory.total = share + usage.host_limit_bytes;
  return NVML_SUCCESS;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  const HookScope scope;
  const nvmlReturn_t result = RealNvml().nvmlDeviceGetMemoryInfo(device, memory);
  if (scope.nested() || result != NVML_SUCCESS || memory == nullptr) return result;
  return TellShare(device, *memory);
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  const HookScope scope;
  const nvmlReturn_t result = RealNvml().nvmlDeviceGetMemoryInfo_v2(device, memory);
  if (scope.nested() || result != NVML_SUCCESS || memory == nullptr) return result;
  // What the driver keeps for itself is not the container's.
  memory->reserved = 0;
  return TellShare(device, *memory);
}
