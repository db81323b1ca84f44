#include <algorithm>

#include "common/abi/cuda_more.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/noop.h"
#include "sim/cuda/pool.h"

using namespace tessera::sim::cuda;

namespace {

CUmemoryPool Handle(const std::shared_ptr<Pool>& pool) {
  return reinterpret_cast<CUmemoryPool>(pool.get());
}

/// From the given pool, or from the current one of the stream's device.
CUresult Allocate(CUdeviceptr* out, std::size_t bytes, const CUmemoryPool* handle, CUstream stream,
                  bool per_thread) {
  if (TheDriver().noop) return NoopAllocate(out, bytes);
  const Current current;
  if (!current) return current.error();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = 0;
  if (bytes == 0) return CUDA_SUCCESS;
  const StreamPtr found = FindStream(current.ctx(), stream, per_thread);
  if (found == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  std::shared_ptr<Pool> pool;
  if (handle != nullptr) {
    pool = TheDriver().pools.Find(*handle);
    if (pool == nullptr || pool->imported) return CUDA_ERROR_INVALID_VALUE;
  } else {
    const auto owner = found->ctx.lock();
    Device& device = *owner->device;
    pool = DefaultPool(device);
    const std::lock_guard lock(device.mu);
    if (device.current_pool != nullptr) pool = device.current_pool;
  }
  if (const CapturePtr capture = CaptureOf(*found)) {
    return AppendAlloc(*capture->graph, *pool->device, bytes, out, nullptr);
  }
  const auto base = PoolAllocate(pool, current.ctx(), bytes);
  if (!base) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = *base;
  return CUDA_SUCCESS;
}

CUresult Free(CUdeviceptr ptr, CUstream stream, bool per_thread) {
  if (TheDriver().noop) return CUDA_SUCCESS;
  const Current current;
  if (!current) return current.error();
  const StreamPtr found = FindStream(current.ctx(), stream, per_thread);
  if (found == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (ptr == 0) return CUDA_SUCCESS;
  if (const CapturePtr capture = CaptureOf(*found)) {
    return AppendFree(*capture->graph, ptr, nullptr);
  }
  if (const GraphBlockPtr block = FindGraphBlock(ptr)) {
    return FreeGraphBlock(*block) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  }
  const auto taken = TheDriver().memory.Take(ptr, [](const Allocation& allocation) {
    return allocation.kind == MemoryKind::kPool || allocation.kind == MemoryKind::kDevice ||
           allocation.kind == MemoryKind::kPoolImported;
  });
  if (!taken) return CUDA_ERROR_INVALID_VALUE;
  // The stream's own memory can be used again at once; the device's goes back in stream order.
  if (taken->kind == MemoryKind::kPool) {
    ReleaseAllocation(*taken);
    return CUDA_SUCCESS;
  }
  SubmitTo(*current.ctx(), *found, {.action = [allocation = *taken](std::uint64_t, bool) {
    ReleaseAllocation(allocation);
  }});
  return CUDA_SUCCESS;
}

/// Null, with `error` set, where there is no such device or pool.
Device* GetDevice(CUdevice ordinal, CUresult& error) {
  error = Ready();
  if (error != CUDA_SUCCESS) return nullptr;
  Device* device = FindDevice(ordinal);
  if (device == nullptr) error = CUDA_ERROR_INVALID_DEVICE;
  return device;
}

std::shared_ptr<Pool> GetPool(CUmemoryPool handle, CUresult& error) {
  error = Ready();
  if (error != CUDA_SUCCESS) return nullptr;
  auto pool = TheDriver().pools.Find(handle);
  if (pool == nullptr) error = CUDA_ERROR_INVALID_VALUE;
  return pool;
}

/// The 64-bit attribute's place in the pool; null: it is none of them.
std::uint64_t* WideAttribute(Pool& pool, CUmemPool_attribute attribute) {
  switch (attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      return &pool.threshold_bytes;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      return &pool.reserved_bytes;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      return &pool.reserved_high_bytes;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      return &pool.used_bytes;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      return &pool.used_high_bytes;
    default:
      return nullptr;
  }
}

bool IsReuse(CUmemPool_attribute attribute) {
  return attribute >= CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES &&
         attribute <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

}  // namespace

extern "C" {

CUresult cuMemAllocAsync(CUdeviceptr* ptr, std::size_t bytes, CUstream stream) {
  return Journal("cuMemAllocAsync", {{"bytes", bytes}},
                 Allocate(ptr, bytes, nullptr, stream, false));
}
CUresult cuMemAllocAsync_ptsz(CUdeviceptr* ptr, std::size_t bytes, CUstream stream) {
  return Journal("cuMemAllocAsync_ptsz", {{"bytes", bytes}},
                 Allocate(ptr, bytes, nullptr, stream, true));
}
CUresult cuMemAllocFromPoolAsync(CUdeviceptr* ptr, std::size_t bytes, CUmemoryPool pool,
                                 CUstream stream) {
  return Journal("cuMemAllocFromPoolAsync", {{"bytes", bytes}},
                 Allocate(ptr, bytes, &pool, stream, false));
}
CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* ptr, std::size_t bytes, CUmemoryPool pool,
                                      CUstream stream) {
  return Journal("cuMemAllocFromPoolAsync_ptsz", {{"bytes", bytes}},
                 Allocate(ptr, bytes, &pool, stream, true));
}
CUresult cuMemFreeAsync(CUdeviceptr ptr, CUstream stream) {
  return Journal("cuMemFreeAsync", {{"ptr", ptr}}, Free(ptr, stream, false));
}
CUresult cuMemFreeAsync_ptsz(CUdeviceptr ptr, CUstream stream) {
  return Journal("cuMemFreeAsync_ptsz", {{"ptr", ptr}}, Free(ptr, stream, true));
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice ordinal) {
  CUresult error{};
  Device* device = GetDevice(ordinal, error);
  if (device == nullptr) return error;
  if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *pool = Handle(DefaultPool(*device));
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice ordinal) {
  const CUresult result = cuDeviceGetDefaultMemPool(pool, ordinal);
  if (result != CUDA_SUCCESS) return result;
  Device* device = FindDevice(ordinal);
  const std::lock_guard lock(device->mu);
  if (device->current_pool != nullptr) *pool = Handle(device->current_pool);
  return CUDA_SUCCESS;
}

CUresult cuDeviceSetMemPool(CUdevice ordinal, CUmemoryPool handle) {
  CUresult error{};
  Device* device = GetDevice(ordinal, error);
  if (device == nullptr) return error;
  const auto pool = GetPool(handle, error);
  if (pool == nullptr) return error;
  if (pool->device != device || pool->imported) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(device->mu);
  device->current_pool = pool;
  return CUDA_SUCCESS;
}

CUresult cuMemPoolCreate(CUmemoryPool* out, const CUmemPoolProps* props) {
  if (const CUresult error = Ready()) return error;
  if (out == nullptr || props == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED) return CreateManagedPool(out, *props);
  if (props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED) return CUDA_ERROR_INVALID_VALUE;
  if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
  const bool shareable = props->handleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  if (!shareable && props->handleTypes != CU_MEM_HANDLE_TYPE_NONE) return CUDA_ERROR_NOT_SUPPORTED;
  Device* device = FindDevice(props->location.id);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  auto pool = std::make_shared<Pool>();
  pool->device = device;
  pool->limit_bytes = RoundUp(props->maxSize, kPoolChunkBytes);
  if (shareable && !MakeShareable(*pool)) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = Handle(pool);
  TheDriver().pools.Add(std::move(pool));
  return CUDA_SUCCESS;
}

CUresult cuMemPoolDestroy(CUmemoryPool handle) {
  CUresult error{};
  const auto pool = GetPool(handle, error);
  if (pool == nullptr) return error;
  if (pool->is_default) return CUDA_ERROR_INVALID_VALUE;
  TheDriver().pools.Take(handle);
  {
    const std::lock_guard lock(pool->device->mu);
    if (pool->device->current_pool == pool) pool->device->current_pool = nullptr;
  }
  // Blocks that are still used give their memory back when they are freed.
  const std::lock_guard lock(pool->mu);
  pool->destroyed = true;
  pool->threshold_bytes = 0;
  PoolTrimLocked(*pool, 0);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolTrimTo(CUmemoryPool handle, std::size_t bytes_to_keep) {
  CUresult error{};
  const auto pool = GetPool(handle, error);
  if (pool == nullptr) return error;
  PoolTrim(*pool, bytes_to_keep);
  return Journal("cuMemPoolTrimTo", {{"bytes", bytes_to_keep}}, CUDA_SUCCESS);
}

CUresult cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
  if (TheDriver().noop && value != nullptr) return NoopPoolAttribute(attribute, value);
  CUresult error{};
  const auto pool = GetPool(handle, error);
  if (pool == nullptr) return error;
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(pool->mu);
  if (IsReuse(attribute)) {
    *static_cast<int*>(value) = pool->reuse[attribute - 1];
    return CUDA_SUCCESS;
  }
  const std::uint64_t* wide = WideAttribute(*pool, attribute);
  if (wide == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *static_cast<cuuint64_t*>(value) = *wide;
  return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
  CUresult error{};
  const auto pool = GetPool(handle, error);
  if (pool == nullptr) return error;
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(pool->mu);
  if (IsReuse(attribute)) {
    pool->reuse[attribute - 1] = *static_cast<int*>(value);
    return CUDA_SUCCESS;
  }
  const cuuint64_t wanted = *static_cast<cuuint64_t*>(value);
  if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) {
    pool->threshold_bytes = wanted;
  } else if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH && wanted == 0) {
    pool->reserved_high_bytes = pool->reserved_bytes;
  } else if (attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH && wanted == 0) {
    pool->used_high_bytes = pool->used_bytes;
  } else {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

/// Devices cannot reach each other's memory: only the pool's own device may be named.
CUresult cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc* access, std::size_t count) {
  CUresult error{};
  const auto pool = GetPool(handle, error);
  if (pool == nullptr) return error;
  if (access == nullptr && count != 0) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; ++i) {
    if (access[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
        FindDevice(access[i].location.id) != pool->device) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
  }
  return CUDA_SUCCESS;
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool handle,
                            CUmemLocation* location) {
  CUresult error{};
  const auto pool = GetPool(handle, error);
  if (pool == nullptr) return error;
  if (flags == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = FindDevice(location->id) == pool->device ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                                                    : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  return CUDA_SUCCESS;
}

}  // extern "C"
