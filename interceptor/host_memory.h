#pragma once

#include <cstddef>
#include <cstdint>

#include "interceptor/charge.h"

/// What goes beyond a container's share of a device, where its limits allow host memory for it:
/// managed memory, which lies in the host's and moves to the device as it is used and as there is
/// room.
namespace tessera {

/// The driver's answer; on success `*ptr` is new managed memory that prefers to be on `device`. To
/// be freed by cuMemFree_v2.
CUresult AllocateManaged(CUdeviceptr* ptr, std::size_t bytes, CUdevice device);

/// As AllocateCharged, but what the share does not hold is charged to host memory if the container
/// may use that; `elsewhere` asks the driver then.
template <typename Allocate, typename Elsewhere, typename Undo>
CUresult AllocateAnywhere(const Place& place, std::uint64_t bytes, const CUdeviceptr* ptr,
                          const Allocate& allocate, const Elsewhere& elsewhere, const Undo& undo) {
  if (place.result != CUDA_SUCCESS) return place.result;
  const session::Account account = session::TryReserveAnywhere(place.device, bytes);
  if (account == session::kNoAccount) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = account == place.device ? allocate() : elsewhere();
  if (result != CUDA_SUCCESS) {
    session::Release(account, bytes);
    return result;
  }
  return Settle(MemoryLedger(), *ptr, MakeCharge(place, bytes, account), undo);
}

}  // namespace tessera
