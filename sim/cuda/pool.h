#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "sim/cuda/memory.h"

namespace tessera::sim::cuda {

/// What a pool takes from the device at a time.
inline constexpr std::uint64_t kPoolChunkBytes = std::uint64_t{32} << 20;

/// A memory pool (cuMemAllocAsync). It takes whole chunks from the device and keeps them while they
/// are used, and up to `threshold` beyond that; unused chunks above it go back at the next
/// synchronisation. The queue runs in order of submission, so a freed block can be reused at once.
/// Thread-safe.
struct Pool {
  Device* device = nullptr;
  bool is_default = false;
  bool managed = false;           ///< its memory is the host's: nothing is taken from the device
  std::uint64_t limit_bytes = 0;  ///< maxSize of its properties, 0: the device's size
  int fd = -1;            ///< of one that may be shared: its memory, at the offsets of the arena
  bool imported = false;  ///< another process's: gives no memory

  std::mutex mu;  ///< guards the rest
  Extents free;
  std::map<CUdeviceptr, std::uint64_t> chunks;
  std::uint64_t threshold_bytes = 0;
  std::uint64_t reserved_bytes = 0;
  std::uint64_t reserved_high_bytes = 0;
  std::uint64_t used_bytes = 0;  ///< as asked for
  std::uint64_t used_high_bytes = 0;
  int reuse[3] = {1, 1, 1};
  bool destroyed = false;

  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();
};

/// What the memory file of a device's shareable pools is called.
std::string PoolFileName(const Device& device);
/// Backs a new pool by a memory file; false: there is none to be had.
bool MakeShareable(Pool& pool);

/// A block of the pool, in the address map. Null: out of memory.
std::optional<CUdeviceptr> PoolAllocate(const std::shared_ptr<Pool>& pool, const ContextPtr& ctx,
                                        std::size_t bytes);
/// cuMemPoolCreate of one of managed memory.
CUresult CreateManagedPool(CUmemoryPool* out, const CUmemPoolProps& props);
/// Puts a block back into its pool.
void PoolGive(Pool& pool, const Allocation& block);
/// Gives unused chunks back to the device until at most `keep_bytes` are reserved.
void PoolTrim(Pool& pool, std::uint64_t keep_bytes);
/// The same. REQUIRES: pool.mu is held.
void PoolTrimLocked(Pool& pool, std::uint64_t keep_bytes);
/// What synchronisation does to every pool of a device.
void TrimPools(Device& device);
/// The device's default pool, made at first use.
std::shared_ptr<Pool> DefaultPool(Device& device);

}  // namespace tessera::sim::cuda
