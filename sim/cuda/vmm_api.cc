#include <sys/mman.h>

#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/vmm.h"

using namespace tessera::sim::cuda;

namespace {

bool IsAligned(std::uint64_t value) { return value % kVmmGranuleBytes == 0; }
void* Pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

/// CUDA_SUCCESS where memory of this kind can be made.
CUresult CheckProp(const CUmemAllocationProp* prop) {
  if (prop == nullptr || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
  if (FindDevice(prop->location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const int others = prop->requestedHandleTypes & ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  return others != 0 ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

CUresult Reserve(CUdeviceptr* out, std::size_t bytes, std::size_t alignment, CUdeviceptr wanted,
                 unsigned long long flags) {
  if (const CUresult error = Ready()) return error;
  const bool power = (alignment & (alignment - 1)) == 0;
  if (out == nullptr || bytes == 0 || !IsAligned(bytes) || flags != 0 || !power) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const std::size_t align = std::max(alignment, kVmmGranuleBytes);
  if (bytes > SIZE_MAX - align) return CUDA_ERROR_OUT_OF_MEMORY;
  void* start = mmap(Pointer(wanted), bytes + align, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  const auto begin = reinterpret_cast<CUdeviceptr>(start);
  const CUdeviceptr base = (begin + align - 1) / align * align;
  if (base > begin) munmap(start, base - begin);
  munmap(Pointer(base + bytes), begin + align - base);
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  vmm.reservations.emplace(base, bytes);
  *out = base;
  return CUDA_SUCCESS;
}

CUresult Create(CUmemGenericAllocationHandle* out, std::size_t bytes,
                const CUmemAllocationProp* prop, unsigned long long flags) {
  if (const CUresult error = Ready()) return error;
  if (const CUresult error = CheckProp(prop)) return error;
  if (out == nullptr || bytes == 0 || !IsAligned(bytes) || flags != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult error{};
  auto physical = MakePhysical(*prop, bytes, error);
  if (physical == nullptr) return error;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  *out = vmm.next_handle++;
  vmm.handles.emplace(*out, Handle{std::move(physical), 1});
  return CUDA_SUCCESS;
}

CUresult Map(CUdeviceptr address, std::size_t bytes, std::size_t offset,
             CUmemGenericAllocationHandle handle, unsigned long long flags) {
  if (const CUresult error = Ready()) return error;
  Vmm& vmm = TheVmm();
  std::unique_lock lock(vmm.mu);
  WaitForTeam(vmm, lock, handle);
  const auto found = vmm.handles.find(handle);
  if (found == vmm.handles.end() || bytes == 0 || !IsAligned(address) || !IsAligned(bytes) ||
      flags != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const auto& physical = found->second.physical;
  if (offset != 0 || bytes != physical->bytes || !IsReserved(vmm, address, bytes) ||
      IsMapped(vmm, address, bytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (mmap(Pointer(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, physical->fd, 0) ==
      MAP_FAILED) {
    return CUDA_ERROR_MAP_FAILED;
  }
  vmm.mappings.emplace(address, Mapping{bytes, handle, physical});
  TheDriver().memory.Add({.base = address,
                          .bytes = bytes,
                          .kind = MemoryKind::kVmm,
                          .device = physical->device,
                          .accessible = false});
  return CUDA_SUCCESS;
}

/// What is queued may still use the memory.
void Drain() {
  for (Device& device : TheDriver().devices) device.engine->Wait(device.engine->last());
}

CUresult Unmap(CUdeviceptr address, std::size_t bytes) {
  if (const CUresult error = Ready()) return error;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  Drain();
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  if (IsReserved(vmm, address, bytes) && !IsMapped(vmm, address, bytes)) return CUDA_SUCCESS;
  const bool all = ForMappings(vmm, address, bytes, [&](auto found) {
    mmap(Pointer(found->first), found->second.bytes, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    TheDriver().memory.Take(found->first, [](const Allocation&) { return true; });
    vmm.mappings.erase(found);  // the last holder of the memory gives it back
  });
  return all ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

int Protection(CUmemAccess_flags flags) {
  switch (flags) {
    case CU_MEM_ACCESS_FLAGS_PROT_READ:
      return PROT_READ;
    case CU_MEM_ACCESS_FLAGS_PROT_READWRITE:
      return PROT_READ | PROT_WRITE;
    default:
      return PROT_NONE;
  }
}

CUresult SetAccess(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc* access,
                   std::size_t count) {
  if (const CUresult error = Ready()) return error;
  if (access == nullptr || count == 0 || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; ++i) {
    if (access[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
        FindDevice(access[i].location.id) == nullptr) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
  }
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  const CUmemAccess_flags flags = access[count - 1].flags;
  const bool all = ForMappings(vmm, address, bytes, [&](auto found) {
    mprotect(Pointer(found->first), found->second.bytes, Protection(flags));
    found->second.access = flags;
  });
  if (!all) return CUDA_ERROR_INVALID_VALUE;
  TheDriver().memory.SetAccessible(address, bytes, flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
  return CUDA_SUCCESS;
}

CUresult Release(CUmemGenericAllocationHandle handle) {
  if (const CUresult error = Ready()) return error;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  const auto found = vmm.handles.find(handle);
  if (found == vmm.handles.end()) return CUDA_ERROR_INVALID_VALUE;
  if (--found->second.references == 0) vmm.handles.erase(found);
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemAddressReserve(CUdeviceptr* ptr, std::size_t bytes, std::size_t alignment,
                             CUdeviceptr wanted, unsigned long long flags) {
  return Reserve(ptr, bytes, alignment, wanted, flags);
}

CUresult cuMemAddressFree(CUdeviceptr ptr, std::size_t bytes) {
  if (const CUresult error = Ready()) return error;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  const auto found = vmm.reservations.find(ptr);
  if (found == vmm.reservations.end() || found->second != bytes || IsMapped(vmm, ptr, bytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  munmap(Pointer(ptr), bytes);
  vmm.reservations.erase(found);
  return CUDA_SUCCESS;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes,
                     const CUmemAllocationProp* prop, unsigned long long flags) {
  return Journal("cuMemCreate", {{"bytes", bytes}}, Create(handle, bytes, prop, flags));
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  return Journal("cuMemRelease", {{"handle", handle}}, Release(handle));
}

CUresult cuMemMap(CUdeviceptr ptr, std::size_t bytes, std::size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags) {
  return Journal("cuMemMap", {{"ptr", ptr}, {"bytes", bytes}, {"handle", handle}},
                 Map(ptr, bytes, offset, handle, flags));
}

CUresult cuMemUnmap(CUdeviceptr ptr, std::size_t bytes) {
  return Journal("cuMemUnmap", {{"ptr", ptr}, {"bytes", bytes}}, Unmap(ptr, bytes));
}

CUresult cuMemSetAccess(CUdeviceptr ptr, std::size_t bytes, const CUmemAccessDesc* access,
                        std::size_t count) {
  return SetAccess(ptr, bytes, access, count);
}

CUresult cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr ptr) {
  if (const CUresult error = Ready()) return error;
  if (flags == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  const auto found = FindMapping(vmm, ptr);
  if (found == vmm.mappings.end()) return CUDA_ERROR_INVALID_VALUE;
  *flags = found->second.access;
  return CUDA_SUCCESS;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  if (const CUresult error = Ready()) return error;
  if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  const auto found = FindMapping(vmm, reinterpret_cast<CUdeviceptr>(address));
  if (found == vmm.mappings.end()) return CUDA_ERROR_INVALID_VALUE;
  const Mapping& mapping = found->second;
  Handle& kept = vmm.handles[mapping.handle];
  kept.physical = mapping.physical;
  ++kept.references;
  *handle = mapping.handle;
  return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationGranularity(std::size_t* granularity, const CUmemAllocationProp* prop,
                                       CUmemAllocationGranularity_flags) {
  if (const CUresult error = Ready()) return error;
  if (granularity == nullptr || prop == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *granularity = kVmmGranuleBytes;
  return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* prop,
                                                CUmemGenericAllocationHandle handle) {
  if (const CUresult error = Ready()) return error;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  const auto found = vmm.handles.find(handle);
  if (prop == nullptr || found == vmm.handles.end()) return CUDA_ERROR_INVALID_VALUE;
  *prop = found->second.physical->prop;
  return CUDA_SUCCESS;
}

}  // extern "C"
