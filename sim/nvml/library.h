#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "common/abi/nvml_more.h"
#include "sim/gpu/config.h"
#include "sim/gpu/state.h"

namespace tessera::sim::nvml {

/// One GPU that NVML shows. Its place and identity stay as they were at nvmlInit; health and the
/// rest follow the configuration file.
struct Device {
  unsigned int index = 0;  ///< among the GPUs of this container
  gpu::GpuConfig config;   ///< guarded by Library::mu
  std::unique_ptr<gpu::DeviceState> state;
};

/// What a process has of NVML; never destroyed. Thread-safe.
struct Library {
  std::mutex mu;  ///< guards all of it
  unsigned int users = 0;
  std::string driver_version;
  int cuda_version = 0;
  std::deque<Device> devices;  ///< grows only: handles stay good after nvmlShutdown
  std::uint64_t config_stamp = 0;
  std::int64_t wall_offset_us = 0;  ///< of the time stamps of samples
};

Library& TheLibrary();

/// One more user; the first one reads the configuration.
nvmlReturn_t Start();
nvmlReturn_t Stop();
/// NVML_SUCCESS between nvmlInit and nvmlShutdown.
nvmlReturn_t Ready();

/// The number of GPUs. REQUIRES: Ready().
unsigned int DeviceCount();
Device* DeviceAt(unsigned int index);

/// A GPU as its configuration says at this moment.
struct Found {
  nvmlReturn_t error = NVML_SUCCESS;
  Device* device = nullptr;
  gpu::GpuConfig config = {};
  explicit operator bool() const { return error == NVML_SUCCESS; }
};
/// Errors: NVML_ERROR_UNINITIALIZED, _INVALID_ARGUMENT for a handle that is none, _GPU_IS_LOST.
Found FindDevice(nvmlDevice_t handle);
/// The same, but a lost GPU is found too.
Found FindEvenLost(nvmlDevice_t handle);

inline nvmlDevice_t HandleOf(Device* device) { return reinterpret_cast<nvmlDevice_t>(device); }

/// Copies a text with its zero. Errors: NVML_ERROR_INVALID_ARGUMENT, _INSUFFICIENT_SIZE.
nvmlReturn_t CopyText(const std::string& text, char* buffer, unsigned int length);

}  // namespace tessera::sim::nvml
