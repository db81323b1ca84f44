#include "common/abi/cuda.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/pool.h"

// Pools of managed memory, of CUDA 13. Their memory is the host's, so they take nothing from a
// device.

namespace tessera::sim::cuda {
namespace {

CUmemoryPool Handle(const std::shared_ptr<Pool>& pool) {
  return reinterpret_cast<CUmemoryPool>(pool.get());
}

/// Where managed memory that prefers no device goes with the first one.
Device* PreferredDevice(const CUmemLocation& location) {
  return FindDevice(location.type == CU_MEM_LOCATION_TYPE_DEVICE ? location.id : 0);
}

std::shared_ptr<Pool> MakeManaged(Device& device) {
  auto pool = std::make_shared<Pool>();
  pool->device = &device;
  pool->managed = true;
  return pool;
}

}  // namespace

CUresult CreateManagedPool(CUmemoryPool* out, const CUmemPoolProps& props) {
  if (props.handleTypes != CU_MEM_HANDLE_TYPE_NONE || props.maxSize != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Device* const device = PreferredDevice(props.location);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  auto pool = MakeManaged(*device);
  *out = Handle(pool);
  TheDriver().pools.Add(std::move(pool));
  return CUDA_SUCCESS;
}

}  // namespace tessera::sim::cuda

using namespace tessera::sim::cuda;

extern "C" {

/// Of managed memory alone: the other kinds have calls of their own.
CUresult cuMemGetDefaultMemPool(CUmemoryPool* out, CUmemLocation* location,
                                CUmemAllocationType type) {
  if (const CUresult error = Ready()) return error;
  if (out == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_MEM_ALLOCATION_TYPE_MANAGED) return CUDA_ERROR_NOT_SUPPORTED;
  Device* const device = PreferredDevice(*location);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const std::lock_guard lock(device->mu);
  if (device->managed_pool == nullptr) {
    device->managed_pool = MakeManaged(*device);
    device->managed_pool->is_default = true;
    TheDriver().pools.Add(device->managed_pool);
  }
  *out = Handle(device->managed_pool);
  return CUDA_SUCCESS;
}

}  // extern "C"
