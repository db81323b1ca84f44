#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "sim/cuda/driver.h"

using tessera::sim::cuda::Device;
using tessera::sim::cuda::FindDevice;
using tessera::sim::cuda::Ready;
using tessera::sim::cuda::TheDriver;
namespace gpu = tessera::sim::gpu;

namespace {

/// Null, with `error` set, where the driver is not ready or there is no such device.
Device* Get(CUdevice ordinal, CUresult& error) {
  error = Ready();
  if (error != CUDA_SUCCESS) return nullptr;
  Device* device = FindDevice(ordinal);
  if (device == nullptr) error = CUDA_ERROR_INVALID_DEVICE;
  return device;
}

struct Attribute {
  int attribute;
  int value;
};

/// What does not depend on the configuration: a data-centre GPU's.
constexpr std::array kAttributes = {
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 232448},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 233472},
    Attribute{CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
    Attribute{CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 32},
    Attribute{CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1980000},
    Attribute{CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 2619000},
    Attribute{CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120},
    Attribute{CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 52428800},
    Attribute{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
    Attribute{CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 3},
    Attribute{CU_DEVICE_ATTRIBUTE_NUMA_ID, -1},  // of GPUs that are memory nodes of the host
    Attribute{CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
    Attribute{CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED, 1},
};

int AttributeOf(const gpu::GpuConfig& config, int attribute) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return config.sms;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
      return config.index + 1;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return config.cc_major;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return config.cc_minor;
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
      return config.faults ? 1 : 0;
    default:
      break;
  }
  for (const auto& [known, value] : kAttributes) {
    if (known == attribute) return value;
  }
  return 0;
}

constexpr int kLastAttribute = 148;

CUresult CopyUuid(CUuuid* uuid, CUdevice ordinal) {
  CUresult error{};
  const Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto bytes = device->config.uuid_bytes();
  std::memcpy(uuid->bytes, bytes.data(), bytes.size());
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuDeviceGetCount(int* count) {
  if (const CUresult error = Ready()) return error;
  if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *count = static_cast<int>(TheDriver().devices.size());
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  CUresult error{};
  if (Get(ordinal, error) == nullptr) return error;
  if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice ordinal) {
  CUresult error{};
  const Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if (name == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
  std::snprintf(name, static_cast<std::size_t>(length), "%s", device->config.model.c_str());
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) { return CopyUuid(uuid, device); }
CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) { return CopyUuid(uuid, device); }

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice ordinal) {
  CUresult error{};
  const Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if (value == nullptr || attribute < 1 || static_cast<int>(attribute) > kLastAttribute) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *value = AttributeOf(device->config, attribute);
  return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice ordinal) {
  CUresult error{};
  const Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *bytes = device->config.memory_bytes();
  return CUDA_SUCCESS;
}

/// The 32-bit form tells at most what fits.
CUresult cuDeviceTotalMem(unsigned int* bytes, CUdevice ordinal) {
  std::size_t wide = 0;
  if (bytes == nullptr && Ready() == CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = cuDeviceTotalMem_v2(&wide, ordinal);
  if (result == CUDA_SUCCESS) {
    *bytes = static_cast<unsigned int>(std::min<std::size_t>(wide, 0xffffffffU));
  }
  return result;
}

CUresult cuDeviceGetPCIBusId(char* bus_id, int length, CUdevice ordinal) {
  CUresult error{};
  const Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  // The driver writes the domain with four digits: 0000:01:00.0.
  const std::string text = device->config.pci_bus_id().substr(4);
  if (bus_id == nullptr || length <= static_cast<int>(text.size())) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(bus_id, text.c_str(), text.size() + 1);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetByPCIBusId(CUdevice* ordinal, const char* bus_id) {
  if (const CUresult error = Ready()) return error;
  if (ordinal == nullptr || bus_id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  unsigned int domain = 0;
  unsigned int bus = 0;
  unsigned int slot = 0;
  if (std::sscanf(bus_id, "%x:%x:%x", &domain, &bus, &slot) != 3 &&
      std::sscanf(bus_id, "%x:%x", &bus, &slot) != 2) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (const Device& device : TheDriver().devices) {
    if (domain != 0 || slot != 0) continue;
    if (static_cast<int>(bus) != device.config.index + 1) continue;
    *ordinal = device.ordinal;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice ordinal) {
  CUresult error{};
  const Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if (major == nullptr || minor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *major = device->config.cc_major;
  *minor = device->config.cc_minor;
  return CUDA_SUCCESS;
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice ordinal, CUdevice peer) {
  CUresult error{};
  if (Get(ordinal, error) == nullptr || Get(peer, error) == nullptr) return error;
  if (can == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *can = 0;
  return CUDA_SUCCESS;
}

}  // extern "C"
