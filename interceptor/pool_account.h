#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "common/abi/cuda_more.h"
#include "interceptor/session.h"

/// Memory that the driver takes from a device in advance and hands out in pieces: memory pools, and
/// each device's memory for graphs. It is charged as a whole: what the driver says it has reserved.
namespace tessera {

/// The ordinal of a pool that has no device's memory.
inline constexpr CUdevice kNoDeviceMemory = -1;

/// One pool, or one device's graph memory. Thread-safe by its parts: `mutex` is held while the
/// charge is brought in line with the driver, the atomics may be read by anybody.
struct PoolAccount {
  std::atomic<CUmemoryPool> handle = nullptr;  ///< null: graph memory, or an account nobody uses
  bool of_graphs = false;
  CUdevice ordinal = 0;
  session::DeviceIndex device = session::kNoDevice;
  std::atomic<std::uint64_t> charged = 0;  ///< bytes; what was reserved when we last looked
  std::atomic<std::uint64_t> blocks = 0;   ///< pointers from it that live
  std::atomic<bool> destroyed = false;     ///< its handle means nothing now; its blocks may live
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  PoolAccount* next = nullptr;
};

/// The account of a pool; null: none yet. Accounts stay where they are for the process's life.
PoolAccount* FindPool(CUmemoryPool handle);
/// The same; looks for the devices' default pools too.
PoolAccount* FindAnyPool(CUmemoryPool handle);
/// The same, made at first use for a pool on `ordinal`. Null: no memory for it.
PoolAccount* PoolOf(CUmemoryPool handle, CUdevice ordinal);
PoolAccount* GraphMemoryOf(CUdevice ordinal);
/// The pool that cuMemAllocAsync takes from on a device. Null: the driver does not say.
PoolAccount* CurrentPoolOf(CUdevice ordinal);
/// Another one was chosen for some device.
void ForgetCurrentPools();

/// Bytes that are reserved but not in use, as the driver tells. 0 of graph memory.
std::uint64_t UnusedOf(const PoolAccount& pool);

/// Brings the charge in line with what the driver has reserved. `credit` bytes have been reserved
/// in the session for it and are used up or returned. False, with the charge as it was, if the
/// limit does not allow what was reserved. REQUIRES: pool.mutex is held.
bool SettlePool(PoolAccount& pool, std::uint64_t credit, session::Refusal refusal);
/// Whether there is something to settle.
bool HasChanged(const PoolAccount& pool);
/// The same; charges what is reserved even beyond the limit, where it cannot be given back.
void SettlePoolAnyway(PoolAccount& pool);
/// Settles every pool of the process, as after a synchronisation, which returns unused memory.
/// Cheap where there is none; leaves out those that another thread is settling.
void SettlePools();
/// Before a refusal: has the driver return unused memory of the device's pools. True if the account
/// has fallen.
bool ShrinkPools(session::DeviceIndex device);

/// Gives back the graph memory that is not in use. REQUIRES: pool.mutex is held.
void TrimGraphMemory(PoolAccount& pool);
/// Settles the graph memory of every device but `except`, which may be null; false if one is over
/// its limit.
bool SettleOtherGraphMemory(const PoolAccount* except);
/// Changes whenever graph memory was trimmed.
std::uint32_t GraphTrims();
/// The program trimmed it itself.
void GraphMemoryTrimmed();

/// A pointer from the pool lives, has gone.
void BlockArrives(PoolAccount& pool);
void BlockLeaves(PoolAccount& pool);
/// After cuMemPoolDestroy: what is still charged is returned with the last block.
void PoolDestroyed(PoolAccount& pool);

void ForgetPoolsAfterFork();

/// While it lives, calls of this thread that a capturing thread may not make are allowed, so that
/// our own do not spoil the program's capture.
class RelaxedCapture {
 public:
  RelaxedCapture();
  ~RelaxedCapture();
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  CUstreamCaptureMode mode_;
};

}  // namespace tessera
