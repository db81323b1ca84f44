#pragma once

#include <memory>
#include <string>

#include "common/abi/nvml.h"
#include "common/base/result.h"

namespace tessera::agent {

/// The functions that we call, typed by the vendor's prototypes. Those below `Optional` may be
/// null.
struct NvmlFunctions {
  decltype(&nvmlInit_v2) init = nullptr;
  decltype(&nvmlShutdown) shutdown = nullptr;
  decltype(&nvmlSystemGetDriverVersion) driver_version = nullptr;
  decltype(&nvmlDeviceGetCount_v2) count = nullptr;
  decltype(&nvmlDeviceGetHandleByIndex_v2) handle = nullptr;
  decltype(&nvmlDeviceGetUUID) uuid = nullptr;
  decltype(&nvmlDeviceGetName) name = nullptr;
  decltype(&nvmlDeviceGetMemoryInfo) memory = nullptr;
  // optional: older drivers lack them
  decltype(&nvmlErrorString) error_string = nullptr;
  decltype(&nvmlDeviceGetPciInfo_v3) pci = nullptr;
  decltype(&nvmlDeviceGetNumaNodeId) numa = nullptr;
  decltype(&nvmlDeviceGetMigMode) mig = nullptr;
  decltype(&nvmlEventSetCreate) event_set_create = nullptr;
  decltype(&nvmlDeviceRegisterEvents) register_events = nullptr;
  decltype(&nvmlEventSetWait_v2) event_set_wait = nullptr;
  decltype(&nvmlEventSetFree) event_set_free = nullptr;
};

struct UnloadLibrary {
  void operator()(void* library) const;
};
using Library = std::unique_ptr<void, UnloadLibrary>;

/// dlopen as a Result. Errors (kUnavailable) are the loader's own words.
Result<Library> OpenLibrary(const std::string& name);
/// Errors (kUnavailable) name the symbol that `name` lacks.
Result<NvmlFunctions> LoadFunctions(void* library, const std::string& name);

/// "nvmlInit_v2: Driver Not Loaded".
std::string NvmlErrorText(const NvmlFunctions& functions, const char* call, nvmlReturn_t result);

}  // namespace tessera::agent
