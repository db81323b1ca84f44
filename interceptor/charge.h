#pragma once

#include <cstddef>
#include <cstdint>

#include "common/abi/cuda.h"
#include "interceptor/ledger.h"
#include "interceptor/pool_account.h"
#include "interceptor/session.h"

/// The one accounting rule: reserve before the driver is asked, settle after it has answered.
namespace tessera {

/// Where an allocation would go, or the error to answer with.
struct Place {
  CUresult result = CUDA_SUCCESS;
  session::DeviceIndex device = session::kNoDevice;
  CUdevice ordinal = 0;
  CUcontext context = nullptr;  ///< that it would go with; of CurrentPlace alone
};

/// Of the thread's current context. The driver's own error if there is none;
/// CUDA_ERROR_NOT_PERMITTED if the container has no valid limits.
[[gnu::hot]] Place CurrentPlace();
/// The device of the thread's current context, without the context. REQUIRES: the thread has one.
[[gnu::hot]] Place CurrentDevicePlace();
/// Of a stream's context; the current one's for the default streams.
Place StreamPlace(CUstream stream);
[[gnu::hot]] Place DevicePlace(CUdevice device);

namespace ledgers {
[[gnu::visibility("hidden")]] extern constinit Ledger memory;
}  // namespace ledgers

/// Live allocations with an address: cuMemAlloc*, cuMemAllocAsync, pools.
inline Ledger& MemoryLedger() { return ledgers::memory; }
/// Live arrays, mipmapped arrays, modules and libraries.
Ledger& ArrayLedger();
/// Physical allocations (cuMemCreate) by handle, each with a reference for every handle and
/// mapping.
Ledger& HandleLedger();
/// Mappings of them by address.
Ledger& MappingLedger();

inline Charge MakeCharge(const Place& place, std::uint64_t bytes, session::Account account) {
  return {.bytes = bytes,
          .account = static_cast<std::uint16_t>(account),
          .owner = reinterpret_cast<std::uint64_t>(place.context)};
}
inline Charge MakeCharge(const Place& place, std::uint64_t bytes) {
  return MakeCharge(place, bytes, place.device);
}
/// A block of a pool: it is the pool that pays.
inline Charge BlockOf(PoolAccount& pool) {
  return {.pooled = true, .owner = reinterpret_cast<std::uint64_t>(&pool)};
}
/// Returns what an entry that has left its ledger stood for.
inline void Release(const Charge& charge) {
  if (charge.pooled) {
    BlockLeaves(*reinterpret_cast<PoolAccount*>(charge.owner));
  } else {
    session::Release(charge.account, charge.bytes);
  }
}

/// Records `charge` for `key` in `ledger`. If that is impossible, calls `undo` and returns out of
/// memory.
template <typename Undo>
CUresult Settle(Ledger& ledger, std::uint64_t key, const Charge& charge, const Undo& undo) {
  Charge replaced;
  if (!ledger.Insert(key, charge, replaced)) {
    undo();
    Release(charge);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (replaced.bytes != 0 || replaced.pooled) Release(replaced);
  return CUDA_SUCCESS;
}

inline std::uint64_t KeyOf(std::uint64_t address) { return address; }
inline std::uint64_t KeyOf(const void* object) { return reinterpret_cast<std::uint64_t>(object); }

/// `allocate` asks the driver and, on success, leaves the new address or handle in `*ptr`; `undo`
/// frees it.
template <typename Pointer, typename Allocate, typename Undo>
CUresult AllocateCharged(Ledger& ledger, const Place& place, std::uint64_t bytes,
                         const Pointer* ptr, const Allocate& allocate, const Undo& undo) {
  if (place.result != CUDA_SUCCESS) return place.result;
  if (!session::TryReserve(place.device, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = allocate();
  if (result != CUDA_SUCCESS) {
    session::Release(place.device, bytes);
    return result;
  }
  return Settle(ledger, KeyOf(*ptr), MakeCharge(place, bytes), undo);
}

/// `free` asks the driver. The entry leaves the ledger first: another thread may get the same
/// address as soon as the driver has it back. The bytes return last: until then they are in use.
template <typename Free>
CUresult FreeCharged(Ledger& ledger, std::uint64_t key, const Free& free) {
  Charge charge;
  const bool ours = session::Ready() && ledger.Take(key, charge);
  const CUresult result = free();
  if (!ours) return result;
  if (result == CUDA_SUCCESS) {
    Release(charge);
  } else {
    Charge replaced;
    ledger.Insert(key, charge, replaced);
  }
  return result;
}

}  // namespace tessera
