#include "sim/nvml/library.h"

#include <sys/stat.h>

#include <cstring>

#include "sim/gpu/environment.h"
#include "sim/gpu/visible.h"

namespace tessera::sim::nvml {
namespace {

/// Changes whenever the configuration file is written or replaced; 0 where there is none.
std::uint64_t ConfigStamp() {
  const auto path = gpu::Environment(gpu::kEnvGpus);
  struct stat info {};
  if (!path || stat(path->c_str(), &info) != 0) return 0;
  std::uint64_t stamp = static_cast<std::uint64_t>(info.st_ino);
  for (const auto part : {static_cast<std::uint64_t>(info.st_mtim.tv_sec),
                          static_cast<std::uint64_t>(info.st_mtim.tv_nsec),
                          static_cast<std::uint64_t>(info.st_size)}) {
    stamp = stamp * 0x100000001b3 + part;
  }
  return stamp;
}

/// REQUIRES: library.mu is held. A file that has become wrong changes nothing.
void Refresh(Library& library) {
  const std::uint64_t stamp = ConfigStamp();
  if (stamp == library.config_stamp) return;
  library.config_stamp = stamp;
  const auto machine = gpu::LoadMachine();
  if (!machine) {
    gpu::Complain(machine.error().message);
    return;
  }
  for (Device& device : library.devices) {
    for (const gpu::GpuConfig& config : machine->gpus) {
      if (config.uuid == device.config.uuid) device.config = config;
    }
  }
}

/// REQUIRES: library.mu is held.
nvmlReturn_t Load(Library& library) {
  library.config_stamp = ConfigStamp();
  const auto machine = gpu::LoadMachine();
  const auto folder = gpu::StateFolder();
  if (!machine || !folder) {
    gpu::Complain(!machine ? machine.error().message : folder.error().message);
    return NVML_ERROR_UNKNOWN;
  }
  library.driver_version = machine->driver_version;
  library.cuda_version = machine->cuda_version;
  const auto visible = gpu::ContainerDevices(machine->gpus, gpu::Environment(gpu::kEnvVisible));
  for (const gpu::GpuConfig& config : visible) {
    auto state = gpu::DeviceState::Open(*folder, config.uuid);
    if (!state) {
      gpu::Complain(state.error().message);
      library.devices.clear();
      return NVML_ERROR_UNKNOWN;
    }
    Device& device = library.devices.emplace_back();
    device.index = static_cast<unsigned int>(library.devices.size()) - 1;
    device.config = config;
    device.state = *std::move(state);
  }
  return NVML_SUCCESS;
}

}  // namespace

Library& TheLibrary() {
  static Library& library = *new Library;
  return library;
}

nvmlReturn_t Start() {
  Library& library = TheLibrary();
  const std::lock_guard lock(library.mu);
  if (library.users == 0 && library.devices.empty()) {
    const nvmlReturn_t loaded = Load(library);
    if (loaded != NVML_SUCCESS) return loaded;
  }
  ++library.users;
  return NVML_SUCCESS;
}

nvmlReturn_t Stop() {
  Library& library = TheLibrary();
  const std::lock_guard lock(library.mu);
  if (library.users == 0) return NVML_ERROR_UNINITIALIZED;
  --library.users;
  return NVML_SUCCESS;
}

nvmlReturn_t Ready() {
  Library& library = TheLibrary();
  const std::lock_guard lock(library.mu);
  return library.users == 0 ? NVML_ERROR_UNINITIALIZED : NVML_SUCCESS;
}

unsigned int DeviceCount() {
  Library& library = TheLibrary();
  const std::lock_guard lock(library.mu);
  return static_cast<unsigned int>(library.devices.size());
}

Device* DeviceAt(unsigned int index) {
  Library& library = TheLibrary();
  const std::lock_guard lock(library.mu);
  return index < library.devices.size() ? &library.devices[index] : nullptr;
}

Found FindEvenLost(nvmlDevice_t handle) {
  Library& library = TheLibrary();
  const std::lock_guard lock(library.mu);
  if (library.users == 0) return {NVML_ERROR_UNINITIALIZED};
  Refresh(library);
  for (Device& device : library.devices) {
    if (HandleOf(&device) == handle) return {NVML_SUCCESS, &device, device.config};
  }
  return {NVML_ERROR_INVALID_ARGUMENT};
}

Found FindDevice(nvmlDevice_t handle) {
  Found found = FindEvenLost(handle);
  if (found && found.config.health == gpu::Health::kLost) found.error = NVML_ERROR_GPU_IS_LOST;
  return found;
}

nvmlReturn_t CopyText(const std::string& text, char* buffer, unsigned int length) {
  if (buffer == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (length < text.size() + 1) return NVML_ERROR_INSUFFICIENT_SIZE;
  std::memcpy(buffer, text.c_str(), text.size() + 1);
  return NVML_SUCCESS;
}

}  // namespace tessera::sim::nvml
