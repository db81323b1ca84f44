#include "agent/nvml.h"

#include <dlfcn.h>

#include <cctype>
#include <fstream>
#include <utility>

#include "binpack/types.h"
#include "common/abi/nvml.h"

namespace tessera::agent {
namespace {

/// The functions that we call, typed by the vendor's prototypes. Those below `Optional` may be
/// null.
struct Functions {
  decltype(&nvmlInit_v2) init = nullptr;
  decltype(&nvmlShutdown) shutdown = nullptr;
  decltype(&nvmlSystemGetDriverVersion) driver_version = nullptr;
  decltype(&nvmlDeviceGetCount_v2) count = nullptr;
  decltype(&nvmlDeviceGetHandleByIndex_v2) handle = nullptr;
  decltype(&nvmlDeviceGetUUID) uuid = nullptr;
  decltype(&nvmlDeviceGetName) name = nullptr;
  decltype(&nvmlDeviceGetMemoryInfo) memory = nullptr;
  // Optional: older drivers lack them.
  decltype(&nvmlErrorString) error_string = nullptr;
  decltype(&nvmlDeviceGetPciInfo_v3) pci = nullptr;
  decltype(&nvmlDeviceGetNumaNodeId) numa = nullptr;
  decltype(&nvmlDeviceGetMigMode) mig = nullptr;
};

struct Unload {
  void operator()(void* library) const { dlclose(library); }
};
using Library = std::unique_ptr<void, Unload>;

template <typename Function>
void LoadOptional(void* library, const char* symbol, Function& into) {
  into = reinterpret_cast<Function>(dlsym(library, symbol));
}

template <typename Function>
void LoadRequired(void* library, const char* symbol, Function& into, std::string& missing) {
  LoadOptional(library, symbol, into);
  if (into == nullptr && missing.empty()) missing = symbol;
}

Result<Functions> LoadFunctions(void* library, const std::string& name) {
  Functions f;
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
  return f;
}

std::string ErrorText(const Functions& f, const char* call, nvmlReturn_t result) {
  const char* text = f.error_string == nullptr ? nullptr : f.error_string(result);
  return std::string(call) + ": " +
         (text == nullptr ? "NVML error " + std::to_string(result) : std::string(text));
}

class LoadedNvml final : public Nvml {
 public:
  LoadedNvml(Library library, const Functions& functions, std::string sysfs)
      : library_(std::move(library)), f_(functions), sysfs_(std::move(sysfs)) {}
  ~LoadedNvml() override { f_.shutdown(); }

  Result<NvmlReading> Read() override;

 private:
  GpuReading ReadGpu(unsigned int index) const;
  std::string FillReading(nvmlDevice_t device, GpuReading& gpu) const;
  int NumaNode(nvmlDevice_t device) const;

  const Library library_;
  const Functions f_;
  const std::string sysfs_;
};

Result<NvmlReading> LoadedNvml::Read() {
  NvmlReading reading;
  char version[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE] = "";
  if (const auto result = f_.driver_version(version, sizeof version); result != NVML_SUCCESS) {
    return Fail(Errc::kUnavailable, ErrorText(f_, "nvmlSystemGetDriverVersion", result));
  }
  reading.driver_version = version;
  unsigned int count = 0;
  if (const auto result = f_.count(&count); result != NVML_SUCCESS) {
    return Fail(Errc::kUnavailable, ErrorText(f_, "nvmlDeviceGetCount_v2", result));
  }
  if (count > static_cast<unsigned int>(binpack::kMaxGpusPerNode)) {
    return Fail(Errc::kUnavailable,
                "nvmlDeviceGetCount_v2: " + std::to_string(count) + " GPUs is not believable");
  }
  for (unsigned int i = 0; i < count; ++i) reading.gpus.push_back(ReadGpu(i));
  return reading;
}

GpuReading LoadedNvml::ReadGpu(unsigned int index) const {
  GpuReading gpu;
  gpu.index = static_cast<int>(index);
  nvmlDevice_t device = nullptr;
  if (const auto result = f_.handle(index, &device); result != NVML_SUCCESS) {
    gpu.trouble = ErrorText(f_, "nvmlDeviceGetHandleByIndex_v2", result);
  } else {
    gpu.trouble = FillReading(device, gpu);
  }
  return gpu;
}

/// Asks all that can be asked; returns the first trouble.
std::string LoadedNvml::FillReading(nvmlDevice_t device, GpuReading& gpu) const {
  std::string trouble;
  const auto check = [&](const char* call, nvmlReturn_t result) {
    if (result != NVML_SUCCESS && trouble.empty()) trouble = ErrorText(f_, call, result);
    return result == NVML_SUCCESS;
  };
  char text[NVML_DEVICE_UUID_V2_BUFFER_SIZE] = "";
  if (check("nvmlDeviceGetUUID", f_.uuid(device, text, sizeof text))) gpu.uuid = text;
  char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE] = "";
  if (check("nvmlDeviceGetName", f_.name(device, name, sizeof name))) gpu.model = name;
  nvmlMemory_t memory{};
  if (check("nvmlDeviceGetMemoryInfo", f_.memory(device, &memory))) {
    gpu.memory_total_bytes = memory.total;
    gpu.memory_used_bytes = memory.used;
  }
  gpu.numa_node = NumaNode(device);
  unsigned int mig = 0;
  unsigned int pending = 0;
  if (trouble.empty() && f_.mig != nullptr && f_.mig(device, &mig, &pending) == NVML_SUCCESS &&
      mig != 0) {
    trouble = "MIG mode is on; such a GPU is not shared yet";
  }
  return trouble;
}

/// sysfs first: NVML's own answer exists only where a GPU's memory is a NUMA node itself.
int LoadedNvml::NumaNode(nvmlDevice_t device) const {
  nvmlPciInfo_t pci{};
  int node = -1;
  if (f_.pci != nullptr && f_.pci(device, &pci) == NVML_SUCCESS) {
    pci.busId[sizeof pci.busId - 1] = '\0';
    std::ifstream file(sysfs_ + "/bus/pci/devices/" + SysfsPciName(pci.busId) + "/numa_node");
    if (file >> node && node >= 0) return node;
  }
  unsigned int told = 0;
  if (f_.numa != nullptr && f_.numa(device, &told) == NVML_SUCCESS && told < 1U << 16) {
    return static_cast<int>(told);
  }
  return -1;
}

}  // namespace

Result<std::unique_ptr<Nvml>> OpenNvml(const std::string& library, const std::string& sysfs) {
  Library handle(dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (!handle) {
    const char* reason = dlerror();
    return Fail(Errc::kUnavailable, reason == nullptr ? library + ": cannot be loaded" : reason);
  }
  TESSERA_TRY(const Functions functions, LoadFunctions(handle.get(), library));
  if (const auto result = functions.init(); result != NVML_SUCCESS) {
    return Fail(Errc::kUnavailable, ErrorText(functions, "nvmlInit_v2", result));
  }
  return std::make_unique<LoadedNvml>(std::move(handle), functions, sysfs);
}

std::string SysfsPciName(const std::string& bus_id) {
  // Domain, bus, device, function: the domain has 8 digits in NVML and 4 in sysfs.
  const std::size_t colon = bus_id.find(':');
  if (colon == std::string::npos || colon < 4) return "";
  std::string name = bus_id.substr(colon - 4);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isxdigit(byte) == 0 && c != ':' && c != '.') return "";
    c = static_cast<char>(std::tolower(byte));
  }
  return name;
}

}  // namespace tessera::agent
