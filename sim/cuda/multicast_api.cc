#include <algorithm>

#include "common/abi/cuda_share.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/memory.h"
#include "sim/cuda/shared_pages.h"
#include "sim/cuda/vmm.h"

using namespace tessera::sim::cuda;

namespace {

bool IsAligned(std::uint64_t value) { return value % kVmmGranuleBytes == 0; }

bool IsGood(const CUmulticastObjectProp* prop) {
  return prop != nullptr && prop->numDevices > 0 && prop->size > 0 && prop->flags == 0;
}

/// A multicast object by its handle; null: it is none. REQUIRES: vmm.mu is held.
Multicast* Find(Vmm& vmm, CUmemGenericAllocationHandle handle) {
  const auto found = vmm.handles.find(handle);
  return found == vmm.handles.end() ? nullptr : found->second.multicast.get();
}

CUresult Create(CUmemGenericAllocationHandle* out, const CUmulticastObjectProp* prop) {
  if (const CUresult error = Ready()) return error;
  if (out == nullptr || !IsGood(prop) || !IsAligned(prop->size)) return CUDA_ERROR_INVALID_VALUE;
  if (prop->handleTypes > CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  // Addresses that can be mapped, and no memory of any device.
  auto range = std::make_shared<Physical>();
  range->bytes = prop->size;
  range->is_ours = false;
  range->fd = MakePages("tessera-sim-multicast", prop->size);
  if (range->fd < 0) return CUDA_ERROR_OUT_OF_MEMORY;
  auto multicast = std::make_shared<Multicast>();
  multicast->team_size = prop->numDevices;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  *out = vmm.next_handle++;
  vmm.handles.emplace(*out, Handle{std::move(range), 1, std::move(multicast)});
  return CUDA_SUCCESS;
}

CUresult AddDevice(CUmemGenericAllocationHandle handle, CUdevice ordinal) {
  if (const CUresult error = Ready()) return error;
  Device* const device = FindDevice(ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  Multicast* const multicast = Find(vmm, handle);
  if (multicast == nullptr || multicast->devices.size() == multicast->team_size ||
      std::find(multicast->devices.begin(), multicast->devices.end(), device) !=
          multicast->devices.end()) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  multicast->devices.push_back(device);
  vmm.handles[handle].physical->device = multicast->devices.front();
  vmm.joined.notify_all();
  return CUDA_SUCCESS;
}

struct Wish {
  CUmemGenericAllocationHandle multicast;
  std::size_t multicast_offset;
  std::size_t offset;
  std::size_t bytes;
  unsigned long long flags;
  Device* device = nullptr;  ///< null: the memory's own
};

bool Overlaps(const Binding& binding, const Device* device, const Wish& wish) {
  return binding.device == device && binding.offset < wish.multicast_offset + wish.bytes &&
         wish.multicast_offset < binding.offset + binding.bytes;
}

/// `memory` looks for what is to be bound once the team is complete, under vmm.mu; null: it is
/// none.
template <typename Memory>
CUresult Bind(const Wish& wish, const Memory& memory) {
  if (const CUresult error = Ready()) return error;
  Vmm& vmm = TheVmm();
  std::unique_lock lock(vmm.mu);
  WaitForTeam(vmm, lock, wish.multicast);
  Multicast* const multicast = Find(vmm, wish.multicast);
  std::shared_ptr<Physical> physical = memory(vmm);
  if (multicast == nullptr || physical == nullptr || wish.flags != 0 || wish.bytes == 0 ||
      !IsAligned(wish.multicast_offset) || !IsAligned(wish.offset) || !IsAligned(wish.bytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const std::size_t room = vmm.handles[wish.multicast].physical->bytes;
  if (wish.multicast_offset > room || wish.bytes > room - wish.multicast_offset ||
      wish.offset > physical->bytes || wish.bytes > physical->bytes - wish.offset) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Device* const device = wish.device != nullptr ? wish.device : physical->device;
  const auto& team = multicast->devices;
  if (std::find(team.begin(), team.end(), device) == team.end()) return CUDA_ERROR_INVALID_DEVICE;
  for (const Binding& binding : multicast->bindings) {
    if (Overlaps(binding, device, wish)) return CUDA_ERROR_INVALID_VALUE;
  }
  multicast->bindings.push_back({device, wish.multicast_offset, wish.bytes, std::move(physical)});
  return CUDA_SUCCESS;
}

CUresult BindHandle(const Wish& wish, CUmemGenericAllocationHandle handle) {
  return Bind(wish, [&](Vmm& vmm) -> std::shared_ptr<Physical> {
    const auto found = vmm.handles.find(handle);
    const bool is_memory = found != vmm.handles.end() && found->second.multicast == nullptr;
    return is_memory ? found->second.physical : nullptr;
  });
}

/// Any address in a mapping will do, as long as what is to be bound is in it.
CUresult BindAddress(const Wish& wish, CUdeviceptr ptr) {
  return Bind(wish, [&](Vmm& vmm) -> std::shared_ptr<Physical> {
    const auto found = FindMapping(vmm, ptr);
    if (found == vmm.mappings.end() || !IsAligned(ptr)) return nullptr;
    const bool within = wish.bytes <= found->first + found->second.bytes - ptr;
    return within ? found->second.physical : nullptr;
  });
}

CUresult Unbind(CUmemGenericAllocationHandle handle, CUdevice ordinal, std::size_t offset,
                std::size_t bytes) {
  if (const CUresult error = Ready()) return error;
  Device* const device = FindDevice(ordinal);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  Multicast* const multicast = Find(vmm, handle);
  if (multicast == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto gone = std::erase_if(multicast->bindings, [&](const Binding& binding) {
    return binding.device == device && binding.offset == offset && binding.bytes == bytes;
  });
  return gone == 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

extern "C" {

CUresult cuMulticastCreate(CUmemGenericAllocationHandle* multicast,
                           const CUmulticastObjectProp* prop) {
  return Create(multicast, prop);
}
CUresult cuMulticastAddDevice(CUmemGenericAllocationHandle multicast, CUdevice device) {
  return AddDevice(multicast, device);
}
CUresult cuMulticastBindMem(CUmemGenericAllocationHandle multicast, std::size_t multicast_offset,
                            CUmemGenericAllocationHandle handle, std::size_t offset,
                            std::size_t bytes, unsigned long long flags) {
  return BindHandle({multicast, multicast_offset, offset, bytes, flags}, handle);
}
CUresult cuMulticastBindMem_v2(CUmemGenericAllocationHandle multicast, CUdevice device,
                               std::size_t multicast_offset, CUmemGenericAllocationHandle handle,
                               std::size_t offset, std::size_t bytes, unsigned long long flags) {
  Device* const named = FindDevice(device);
  if (named == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  return BindHandle({multicast, multicast_offset, offset, bytes, flags, named}, handle);
}
CUresult cuMulticastBindAddr(CUmemGenericAllocationHandle multicast, std::size_t multicast_offset,
                             CUdeviceptr ptr, std::size_t bytes, unsigned long long flags) {
  return BindAddress({multicast, multicast_offset, 0, bytes, flags}, ptr);
}
CUresult cuMulticastBindAddr_v2(CUmemGenericAllocationHandle multicast, CUdevice device,
                                std::size_t multicast_offset, CUdeviceptr ptr, std::size_t bytes,
                                unsigned long long flags) {
  Device* const named = FindDevice(device);
  if (named == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  return BindAddress({multicast, multicast_offset, 0, bytes, flags, named}, ptr);
}
CUresult cuMulticastUnbind(CUmemGenericAllocationHandle multicast, CUdevice device,
                           std::size_t multicast_offset, std::size_t bytes) {
  return Unbind(multicast, device, multicast_offset, bytes);
}
CUresult cuMulticastGetGranularity(std::size_t* granularity, const CUmulticastObjectProp* prop,
                                   CUmulticastGranularity_flags option) {
  if (const CUresult error = Ready()) return error;
  if (granularity == nullptr || !IsGood(prop) || option > CU_MULTICAST_GRANULARITY_RECOMMENDED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *granularity = kVmmGranuleBytes;
  return CUDA_SUCCESS;
}

}  // extern "C"
