#include <cstdio>
#include <cstring>

#include "sim/nvml/library.h"

using namespace tessera::sim::nvml;

namespace {

/// "0000:01:00.0" and "00000000:01:00.0" name the same place.
bool SamePlace(const char* asked, const std::string& bus_id) {
  unsigned int domain = 0;
  unsigned int bus = 0;
  unsigned int slot = 0;
  unsigned int own_bus = 0;
  if (std::sscanf(asked, "%x:%x:%x", &domain, &bus, &slot) != 3) return false;
  std::sscanf(bus_id.c_str(), "%*x:%x", &own_bus);
  return domain == 0 && slot == 0 && bus == own_bus;
}

nvmlReturn_t ByIndex(unsigned int index, nvmlDevice_t* device) {
  if (const nvmlReturn_t error = Ready()) return error;
  Device* found = DeviceAt(index);
  if (device == nullptr || found == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *device = HandleOf(found);
  return FindDevice(*device).error;
}

template <typename Matches>
nvmlReturn_t ByMatch(nvmlDevice_t* device, Matches matches) {
  for (unsigned int i = 0; i < DeviceCount(); ++i) {
    const Found found = FindEvenLost(HandleOf(DeviceAt(i)));
    if (!found || !matches(found.config)) continue;
    *device = HandleOf(found.device);
    return FindDevice(*device).error;
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t Count(unsigned int* count) {
  if (const nvmlReturn_t error = Ready()) return error;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *count = DeviceCount();
  return NVML_SUCCESS;
}

nvmlReturn_t ByPlace(const char* bus_id, nvmlDevice_t* device) {
  if (const nvmlReturn_t error = Ready()) return error;
  if (bus_id == nullptr || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return ByMatch(device,
                 [&](const auto& config) { return SamePlace(bus_id, config.pci_bus_id()); });
}

nvmlReturn_t Pci(nvmlDevice_t handle, nvmlPciInfo_t* pci) {
  const Found found = FindDevice(handle);
  if (!found) return found.error;
  if (pci == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *pci = {};
  const std::string bus_id = found.config.pci_bus_id();
  std::snprintf(pci->busId, sizeof(pci->busId), "%s", bus_id.c_str());
  std::snprintf(pci->busIdLegacy, sizeof(pci->busIdLegacy), "%.15s", bus_id.c_str() + 4);
  pci->bus = static_cast<unsigned int>(found.config.index + 1);
  pci->pciDeviceId = 0x233010DE;
  pci->pciSubSystemId = 0x16C110DE;
  return NVML_SUCCESS;
}

/// What a simulated GPU does not have: the answer after the usual checks.
nvmlReturn_t NotSupported(nvmlDevice_t handle) {
  const Found found = FindDevice(handle);
  return found ? NVML_ERROR_NOT_SUPPORTED : found.error;
}

template <typename Value, typename From>
nvmlReturn_t Answer(nvmlDevice_t handle, Value* value, From from) {
  const Found found = FindDevice(handle);
  if (!found) return found.error;
  if (value == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *value = static_cast<Value>(from(found));
  return NVML_SUCCESS;
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetCount(unsigned int* count) { return Count(count); }
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int* count) { return Count(count); }
nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t* device) {
  return ByIndex(index, device);
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  return ByIndex(index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  if (const nvmlReturn_t error = Ready()) return error;
  if (uuid == nullptr || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return ByMatch(device, [&](const auto& config) { return config.uuid == uuid; });
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char* bus_id, nvmlDevice_t* device) {
  return ByPlace(bus_id, device);
}
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, nvmlDevice_t* device) {
  return ByPlace(bus_id, device);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  return Answer(device, index, [](const Found& found) { return found.device->index; });
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int* minor) {
  return Answer(device, minor, [](const Found& found) { return found.config.index; });
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned int length) {
  const Found found = FindDevice(device);
  return found ? CopyText(found.config.uuid, uuid, length) : found.error;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned int length) {
  const Found found = FindDevice(device);
  return found ? CopyText(found.config.model, name, length) : found.error;
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  return Pci(device, pci);
}
nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  return Pci(device, pci);
}
nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  return Pci(device, pci);
}

nvmlReturn_t nvmlDeviceGetNumaNodeId(nvmlDevice_t device, unsigned int* node) {
  const Found found = FindDevice(device);
  if (found && found.config.numa < 0) return NVML_ERROR_NOT_SUPPORTED;
  return Answer(device, node, [](const Found& seen) { return seen.config.numa; });
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int* major, int* minor) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (major == nullptr || minor == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *major = found.config.cc_major;
  *minor = found.config.cc_minor;
  return NVML_SUCCESS;
}

/// GPUs of one NUMA node share a host bridge; others are apart.
nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t one, nvmlDevice_t other,
                                                 nvmlGpuTopologyLevel_t* level) {
  const Found first = FindDevice(one);
  if (!first) return first.error;
  const Found second = FindDevice(other);
  if (!second) return second.error;
  if (level == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (first.device == second.device) {
    *level = NVML_TOPOLOGY_INTERNAL;
  } else {
    *level =
        first.config.numa == second.config.numa ? NVML_TOPOLOGY_HOSTBRIDGE : NVML_TOPOLOGY_SYSTEM;
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int, nvmlEnableState_t*) {
  return NotSupported(device);
}
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int*, unsigned int*) {
  return NotSupported(device);
}
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int* count) {
  return Answer(device, count, [](const Found&) { return 0; });
}
nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char*, unsigned int) {
  return NotSupported(device);
}
nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t*, nvmlEnableState_t*) {
  return NotSupported(device);
}
nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t,
                                         nvmlEccCounterType_t, unsigned long long*) {
  return NotSupported(device);
}
nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(nvmlDevice_t device, nvmlEnableState_t*) {
  return NotSupported(device);
}
nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int*, unsigned int*,
                                       unsigned int*, unsigned int*) {
  return NotSupported(device);
}
nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, nvmlComputeMode_t* mode) {
  return Answer(device, mode, [](const Found&) { return NVML_COMPUTEMODE_DEFAULT; });
}
nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t device, nvmlEnableState_t* mode) {
  return Answer(device, mode, [](const Found&) { return NVML_FEATURE_ENABLED; });
}

}  // extern "C"
