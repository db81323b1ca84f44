#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/pool.h"

using namespace tessera::sim::cuda;

namespace {

bool IsHost(const Allocation& allocation) {
  return allocation.kind == MemoryKind::kHost || allocation.kind == MemoryKind::kRegistered;
}

bool IsManaged(const Allocation& allocation) {
  return allocation.kind == MemoryKind::kManaged ||
         (allocation.pool != nullptr && allocation.pool->managed);
}

template <typename Value>
CUresult Put(void* data, Value value) {
  *static_cast<Value*>(data) = value;
  return CUDA_SUCCESS;
}

CUresult Get(void* data, int attribute, CUdeviceptr ptr) {
  const auto found = TheDriver().memory.Find(ptr);
  if (!found) return CUDA_ERROR_INVALID_VALUE;
  const auto owner = found->ctx.lock();
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      return Put(data, reinterpret_cast<CUcontext>(found->kind == MemoryKind::kVmm ? nullptr
                                                                                   : owner.get()));
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      return Put(data, IsHost(*found) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      return Put(data, ptr);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (!IsHost(*found) && found->kind != MemoryKind::kManaged) return CUDA_ERROR_INVALID_VALUE;
      return Put(data, reinterpret_cast<void*>(ptr));
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      return Put(data, 0);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      return Put(data, static_cast<unsigned long long>(found->id));
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      return Put(data, IsManaged(*found) ? 1U : 0U);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return Put(data, static_cast<int>(found->device->ordinal));
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return Put(data, found->base);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return Put(data, found->bytes);
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return Put(data, 1);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      return Put(data, reinterpret_cast<CUmemoryPool>(found->pool.get()));
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace

extern "C" {

CUresult cuPointerGetAttribute(void* data, int attribute, CUdeviceptr ptr) {
  if (const CUresult error = Ready()) return error;
  if (data == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Get(data, attribute, ptr);
}

/// Of an unknown pointer every attribute is 0, and the call succeeds.
CUresult cuPointerGetAttributes(unsigned int count, int* attributes, void** data, CUdeviceptr ptr) {
  if (const CUresult error = Ready()) return error;
  if (attributes == nullptr || data == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned int i = 0; i < count; ++i) {
    if (data[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (Get(data[i], attributes[i], ptr) == CUDA_SUCCESS) continue;
    const bool wide = attributes[i] == CU_POINTER_ATTRIBUTE_CONTEXT ||
                      attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_POINTER ||
                      attributes[i] == CU_POINTER_ATTRIBUTE_HOST_POINTER ||
                      attributes[i] == CU_POINTER_ATTRIBUTE_BUFFER_ID ||
                      attributes[i] >= CU_POINTER_ATTRIBUTE_RANGE_START_ADDR;
    if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
      Put(data[i], -2);  // as the driver says of memory it does not know
    } else if (wide && attributes[i] != CU_POINTER_ATTRIBUTE_MAPPED) {
      Put(data[i], std::uint64_t{0});
    } else {
      Put(data[i], 0);
    }
  }
  return CUDA_SUCCESS;
}

CUresult cuPointerSetAttribute(const void* value, int attribute, CUdeviceptr ptr) {
  const Current current;
  if (!current) return current.error();
  if (value == nullptr || !TheDriver().memory.Find(ptr)) return CUDA_ERROR_INVALID_VALUE;
  return attribute == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // extern "C"
