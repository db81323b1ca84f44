#include <sys/mman.h>

#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"

using namespace tessera::sim::cuda;

namespace {

constexpr std::size_t kPage = 4096;

CUresult Allocate(void** out, std::size_t bytes, unsigned int flags) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || flags > 7) return CUDA_ERROR_INVALID_VALUE;
  *out = nullptr;
  if (bytes == 0) return CUDA_SUCCESS;
  const std::size_t reserved = RoundUp(bytes, kPage);
  if (reserved == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = mmap(nullptr, reserved, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  TheDriver().memory.Add({.base = reinterpret_cast<CUdeviceptr>(memory),
                          .bytes = bytes,
                          .reserved = reserved,
                          .kind = MemoryKind::kHost,
                          .device = &current.device(),
                          .ctx = current.ctx(),
                          .flags = flags | CU_MEMHOSTALLOC_DEVICEMAP});
  *out = memory;
  return CUDA_SUCCESS;
}

bool IsHost(const Allocation& allocation) {
  return allocation.kind == MemoryKind::kHost || allocation.kind == MemoryKind::kRegistered;
}

}  // namespace

extern "C" {

CUresult cuMemAllocHost_v2(void** ptr, std::size_t bytes) {
  return Journal("cuMemAllocHost_v2", {{"bytes", bytes}},
                 Allocate(ptr, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP));
}

CUresult cuMemHostAlloc(void** ptr, std::size_t bytes, unsigned int flags) {
  return Journal("cuMemHostAlloc", {{"bytes", bytes}, {"flags", flags}},
                 Allocate(ptr, bytes, flags));
}

CUresult cuMemFreeHost(void* ptr) {
  const Current current;
  if (!current) return current.error();
  if (ptr == nullptr) return CUDA_SUCCESS;
  // What is queued may still use it.
  current.device().engine->Wait(current->last);
  const auto taken = TheDriver().memory.Take(
      reinterpret_cast<CUdeviceptr>(ptr),
      [](const Allocation& allocation) { return allocation.kind == MemoryKind::kHost; });
  if (!taken) return CUDA_ERROR_INVALID_VALUE;
  ReleaseAllocation(*taken);
  return CUDA_SUCCESS;
}

CUresult cuMemHostRegister_v2(void* ptr, std::size_t bytes, unsigned int flags) {
  const Current current;
  if (!current) return current.error();
  if (ptr == nullptr || bytes == 0 || flags > 15) return CUDA_ERROR_INVALID_VALUE;
  const auto base = reinterpret_cast<CUdeviceptr>(ptr);
  if (TheDriver().memory.Touches(base, bytes)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  TheDriver().memory.Add({.base = base,
                          .bytes = bytes,
                          .kind = MemoryKind::kRegistered,
                          .device = &current.device(),
                          .ctx = current.ctx(),
                          .flags = flags});
  return CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void* ptr) {
  const Current current;
  if (!current) return current.error();
  if (ptr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  current.device().engine->Wait(current->last);
  const auto taken = TheDriver().memory.Take(
      reinterpret_cast<CUdeviceptr>(ptr),
      [](const Allocation& allocation) { return allocation.kind == MemoryKind::kRegistered; });
  return taken ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* device_ptr, void* ptr, unsigned int flags) {
  const Current current;
  if (!current) return current.error();
  if (device_ptr == nullptr || ptr == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  const auto address = reinterpret_cast<CUdeviceptr>(ptr);
  const auto found = TheDriver().memory.Find(address);
  if (!found || !IsHost(*found)) return CUDA_ERROR_INVALID_VALUE;
  *device_ptr = address;
  return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned int* flags, void* ptr) {
  const Current current;
  if (!current) return current.error();
  if (flags == nullptr || ptr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto found = TheDriver().memory.Find(reinterpret_cast<CUdeviceptr>(ptr));
  if (!found || found->kind != MemoryKind::kHost) return CUDA_ERROR_INVALID_VALUE;
  *flags = found->flags;
  return CUDA_SUCCESS;
}

}  // extern "C"
