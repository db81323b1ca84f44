#include "agent/nvml.h"

#include <cctype>
#include <fstream>
#include <utility>

#include "agent/nvml_functions.h"
#include "agent/xid_watch.h"
#include "binpack/types.h"

namespace tessera::agent {
namespace {

class LoadedNvml final : public Nvml {
 public:
  LoadedNvml(Library library, const NvmlFunctions& functions, std::string sysfs)
      : library_(std::move(library)), f_(functions), sysfs_(std::move(sysfs)) {}
  ~LoadedNvml() override {
    xids_.reset();
    f_.shutdown();
  }

  Result<NvmlReading> Read() override;

 private:
  GpuReading ReadGpu(unsigned int index);
  void WatchXids(unsigned int count);
  std::string FillReading(nvmlDevice_t device, GpuReading& gpu) const;
  int NumaNode(nvmlDevice_t device) const;

  const Library library_;
  const NvmlFunctions f_;
  const std::string sysfs_;
  std::unique_ptr<XidWatch> xids_;  // made at the first reading, when the handles are known
};

Result<NvmlReading> LoadedNvml::Read() {
  NvmlReading reading;
  char version[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE] = "";
  if (const auto result = f_.driver_version(version, sizeof version); result != NVML_SUCCESS) {
    return Fail(Errc::kUnavailable, NvmlErrorText(f_, "nvmlSystemGetDriverVersion", result));
  }
  reading.driver_version = version;
  unsigned int count = 0;
  if (const auto result = f_.count(&count); result != NVML_SUCCESS) {
    return Fail(Errc::kUnavailable, NvmlErrorText(f_, "nvmlDeviceGetCount_v2", result));
  }
  if (count > static_cast<unsigned int>(binpack::kMaxGpusPerNode)) {
    return Fail(Errc::kUnavailable,
                "nvmlDeviceGetCount_v2: " + std::to_string(count) + " GPUs is not believable");
  }
  WatchXids(count);
  for (unsigned int i = 0; i < count; ++i) reading.gpus.push_back(ReadGpu(i));
  return reading;
}

void LoadedNvml::WatchXids(unsigned int count) {
  if (!xids_) {
    xids_ = std::make_unique<XidWatch>(f_);
    for (unsigned int i = 0; i < count; ++i) {
      nvmlDevice_t device = nullptr;
      if (f_.handle(i, &device) == NVML_SUCCESS) xids_->Add(device);
    }
  }
  xids_->Poll();
}

GpuReading LoadedNvml::ReadGpu(unsigned int index) {
  GpuReading gpu;
  gpu.index = static_cast<int>(index);
  nvmlDevice_t device = nullptr;
  if (const auto result = f_.handle(index, &device); result != NVML_SUCCESS) {
    gpu.trouble = NvmlErrorText(f_, "nvmlDeviceGetHandleByIndex_v2", result);
  } else {
    gpu.trouble = FillReading(device, gpu);
    gpu.xid = xids_->Take(device);
  }
  return gpu;
}

/// Asks all that can be asked; returns the first trouble.
std::string LoadedNvml::FillReading(nvmlDevice_t device, GpuReading& gpu) const {
  std::string trouble;
  const auto check = [&](const char* call, nvmlReturn_t result) {
    if (result != NVML_SUCCESS && trouble.empty()) trouble = NvmlErrorText(f_, call, result);
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
  TESSERA_TRY(Library handle, OpenLibrary(library));
  TESSERA_TRY(const NvmlFunctions functions, LoadFunctions(handle.get(), library));
  if (const auto result = functions.init(); result != NVML_SUCCESS) {
    return Fail(Errc::kUnavailable, NvmlErrorText(functions, "nvmlInit_v2", result));
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
