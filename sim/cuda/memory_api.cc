#include "common/abi/cuda_more.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/noop.h"

using namespace tessera::sim::cuda;

namespace {

constexpr std::size_t kPitchBytes = 512;

CUresult Allocate(CUdeviceptr* out, std::size_t bytes, MemoryKind kind) {
  if (TheDriver().noop) return NoopAllocate(out, bytes);
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult error = RefuseUnsafe()) return error;
  const auto base = kind == MemoryKind::kManaged ? AllocateManaged(current.ctx(), bytes)
                                                 : AllocateDevice(current.ctx(), bytes, kind);
  if (!base) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = *base;
  return CUDA_SUCCESS;
}

/// The old functions have 32-bit addresses: their memory lies in the lowest 2 GiB.
CUresult AllocateLow(CUdeviceptr_v1* out, std::size_t bytes) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr wide = 0;
  const CUresult result = Allocate(&wide, bytes, MemoryKind::kLow);
  if (result == CUDA_SUCCESS) *out = static_cast<CUdeviceptr_v1>(wide);
  return result;
}

CUresult Free(CUdeviceptr ptr) {
  if (TheDriver().noop) return CUDA_SUCCESS;
  const Current current;  // may be missing, but not broken
  if (!current && current.error() != CUDA_ERROR_INVALID_CONTEXT) return current.error();
  if (ptr == 0) return CUDA_SUCCESS;
  const auto found = TheDriver().memory.Find(ptr);
  if (!found || found->base != ptr) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult error = RefuseUnsafe()) return error;
  if (const GraphBlockPtr block = FindGraphBlock(ptr)) {
    return FreeGraphBlock(*block) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  }
  const auto owner = found->ctx.lock();
  if (owner == nullptr) return CUDA_ERROR_INVALID_VALUE;
  // Like the real one: what was queued before may still use it.
  owner->device->engine->Wait(owner->last);
  const auto taken = TheDriver().memory.Take(ptr, [](const Allocation& allocation) {
    return allocation.kind == MemoryKind::kDevice || allocation.kind == MemoryKind::kLow ||
           allocation.kind == MemoryKind::kManaged || allocation.kind == MemoryKind::kPool ||
           allocation.kind == MemoryKind::kPoolImported;
  });
  if (!taken) return CUDA_ERROR_INVALID_VALUE;
  ReleaseAllocation(*taken);
  return CUDA_SUCCESS;
}

/// Of managed memory alone, to a device that is there or to the host. Changes nothing: all of it is
/// the host's.
CUresult Advise(CUdeviceptr ptr, std::size_t bytes, CUmem_advise advice, CUdevice device) {
  if (const CUresult error = Ready()) return error;
  constexpr CUdevice kHost = -1;
  const bool known =
      advice >= CU_MEM_ADVISE_SET_READ_MOSTLY && advice <= CU_MEM_ADVISE_UNSET_ACCESSED_BY;
  if (!known || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (device != kHost && FindDevice(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const auto found = TheDriver().memory.Find(ptr);
  const bool managed =
      found && found->kind == MemoryKind::kManaged && bytes <= found->bytes - (ptr - found->base);
  return managed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

struct Pitched {
  std::size_t pitch = 0;
  std::size_t bytes = 0;
};

/// Zero bytes where the sizes are no sizes.
Pitched PitchOf(std::size_t width, std::size_t height, unsigned int element_bytes) {
  if (width == 0 || height == 0) return {};
  if (element_bytes != 4 && element_bytes != 8 && element_bytes != 16) return {};
  const std::size_t pitch = RoundUp(width, kPitchBytes);
  std::size_t bytes = 0;
  if (pitch == 0 || __builtin_mul_overflow(pitch, height, &bytes)) return {pitch, SIZE_MAX};
  return {pitch, bytes};
}

}  // namespace

extern "C" {

CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  const Current current;
  if (!current) return current.error();
  const std::uint64_t all = current.device().config.memory_bytes();
  const std::uint64_t used = std::min(all, current.device().state->used_bytes());
  if (free != nullptr) *free = all - used;
  if (total != nullptr) *total = all;
  return CUDA_SUCCESS;
}

CUresult cuMemGetInfo(unsigned int* free, unsigned int* total) {
  std::size_t wide_free = 0;
  std::size_t wide_total = 0;
  const CUresult result = cuMemGetInfo_v2(&wide_free, &wide_total);
  if (result != CUDA_SUCCESS) return result;
  const auto narrow = [](std::size_t bytes) {
    return static_cast<unsigned int>(std::min<std::size_t>(bytes, 0xffffffffU));
  };
  if (free != nullptr) *free = narrow(wide_free);
  if (total != nullptr) *total = narrow(wide_total);
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr* ptr, std::size_t bytes) {
  return Journal("cuMemAlloc_v2", {{"bytes", bytes}}, Allocate(ptr, bytes, MemoryKind::kDevice));
}

CUresult cuMemAlloc(CUdeviceptr_v1* ptr, unsigned int bytes) {
  return Journal("cuMemAlloc", {{"bytes", bytes}}, AllocateLow(ptr, bytes));
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* ptr, std::size_t* pitch, std::size_t width_bytes,
                            std::size_t height, unsigned int element_bytes) {
  const Pitched size = PitchOf(width_bytes, height, element_bytes);
  CUresult result =
      pitch == nullptr ? CUDA_ERROR_INVALID_VALUE : Allocate(ptr, size.bytes, MemoryKind::kDevice);
  if (result == CUDA_SUCCESS) *pitch = size.pitch;
  return Journal("cuMemAllocPitch_v2", {{"bytes", size.bytes}}, result);
}

CUresult cuMemAllocPitch(CUdeviceptr_v1* ptr, unsigned int* pitch, unsigned int width_bytes,
                         unsigned int height, unsigned int element_bytes) {
  const Pitched size = PitchOf(width_bytes, height, element_bytes);
  CUresult result = pitch == nullptr ? CUDA_ERROR_INVALID_VALUE : AllocateLow(ptr, size.bytes);
  if (result == CUDA_SUCCESS) *pitch = static_cast<unsigned int>(size.pitch);
  return Journal("cuMemAllocPitch", {{"bytes", size.bytes}}, result);
}

CUresult cuMemAllocManaged(CUdeviceptr* ptr, std::size_t bytes, unsigned int flags) {
  const bool known = flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST;
  return Journal("cuMemAllocManaged", {{"bytes", bytes}, {"flags", flags}},
                 known ? Allocate(ptr, bytes, MemoryKind::kManaged) : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuMemAdvise(CUdeviceptr ptr, std::size_t bytes, CUmem_advise advice, CUdevice device) {
  return Journal("cuMemAdvise", {{"bytes", bytes}, {"advice", advice}},
                 Advise(ptr, bytes, advice, device));
}

CUresult cuMemFree_v2(CUdeviceptr ptr) {
  return Journal("cuMemFree_v2", {{"ptr", ptr}}, Free(ptr));
}

CUresult cuMemFree(CUdeviceptr_v1 ptr) { return Journal("cuMemFree", {{"ptr", ptr}}, Free(ptr)); }

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* bytes, CUdeviceptr ptr) {
  const Current current;
  if (!current) return current.error();
  const auto found = TheDriver().memory.Find(ptr);
  if (!found) return CUDA_ERROR_NOT_FOUND;
  if (base != nullptr) *base = found->base;
  if (bytes != nullptr) *bytes = found->bytes;
  return CUDA_SUCCESS;
}

}  // extern "C"
