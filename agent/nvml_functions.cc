#include "agent/nvml_functions.h"

#include <dlfcn.h>

namespace tessera::agent {
namespace {

template <typename Function>
void LoadOptional(void* library, const char* symbol, Function& into) {
  into = reinterpret_cast<Function>(dlsym(library, symbol));
}

template <typename Function>
void LoadRequired(void* library, const char* symbol, Function& into, std::string& missing) {
  LoadOptional(library, symbol, into);
  if (into == nullptr && missing.empty()) missing = symbol;
}

}  // namespace

void UnloadLibrary::operator()(void* library) const { dlclose(library); }

Result<Library> OpenLibrary(const std::string& name) {
  Library library(dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library) return library;
  const char* reason = dlerror();
  return Fail(Errc::kUnavailable, reason == nullptr ? name + ": cannot be loaded" : reason);
}

Result<NvmlFunctions> LoadFunctions(void* library, const std::string& name) {
  NvmlFunctions f;
  std::string missing;
  LoadRequired(library, "nvmlInit_v2", f.init, missing);
  LoadRequired(library, "nvmlShutdown", f.shutdown, missing);
  LoadRequired(library, "nvmlSystemGetDriverVersion", f.driver_version, missing);
  LoadRequired(library, "nvmlDeviceGetCount_v2", f.count, missing);
  LoadRequired(library, "nvmlDeviceGetHandleByIndex_v2", f.handle, missing);
  LoadRequired(library, "nvmlDeviceGetUUID", f.uuid, missing);
  LoadRequired(library, "nvmlDeviceGetName", f.name, missing);
  LoadRequired(library, "nvmlDeviceGetMemoryInfo", f.memory, missing);
  if (!missing.empty()) return Fail(Errc::kUnavailable, name + " has no symbol " + missing);
  LoadOptional(library, "nvmlErrorString", f.error_string);
  LoadOptional(library, "nvmlDeviceGetPciInfo_v3", f.pci);
  LoadOptional(library, "nvmlDeviceGetNumaNodeId", f.numa);
  LoadOptional(library, "nvmlDeviceGetMigMode", f.mig);
  LoadOptional(library, "nvmlEventSetCreate", f.event_set_create);
  LoadOptional(library, "nvmlDeviceRegisterEvents", f.register_events);
  LoadOptional(library, "nvmlEventSetWait_v2", f.event_set_wait);
  LoadOptional(library, "nvmlEventSetFree", f.event_set_free);
  return f;
}

std::string NvmlErrorText(const NvmlFunctions& f, const char* call, nvmlReturn_t result) {
  const char* text = f.error_string == nullptr ? nullptr : f.error_string(result);
  return std::string(call) + ": " +
         (text == nullptr ? "NVML error " + std::to_string(result) : std::string(text));
}

}  // namespace tessera::agent
