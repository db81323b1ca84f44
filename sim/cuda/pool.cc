#include "sim/cuda/pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "sim/cuda/driver.h"
#include "sim/cuda/shared_pages.h"

namespace tessera::sim::cuda {
namespace {

/// REQUIRES: pool.mu is held.
bool Grow(Pool& pool, std::uint64_t bytes) {
  const std::uint64_t chunk = RoundUp(bytes, kPoolChunkBytes);
  if (chunk == 0 || (pool.limit_bytes != 0 && pool.reserved_bytes + chunk > pool.limit_bytes)) {
    return false;
  }
  if (!pool.managed && !pool.device->Reserve(chunk)) return false;
  const auto base = pool.device->arena.Take(chunk);
  if (base && pool.fd >= 0 &&
      !BackByFile(*base, chunk, pool.fd, *base - pool.device->arena.start())) {
    pool.device->arena.Give(*base, chunk);
    pool.device->Release(chunk);
    return false;
  }
  if (!base) {
    if (!pool.managed) pool.device->Release(chunk);
    return false;
  }
  pool.chunks.emplace(*base, chunk);
  pool.free.Add(*base, chunk);
  pool.reserved_bytes += chunk;
  pool.reserved_high_bytes = std::max(pool.reserved_high_bytes, pool.reserved_bytes);
  return true;
}

}  // namespace

void PoolTrimLocked(Pool& pool, std::uint64_t keep_bytes) {
  for (auto it = pool.chunks.begin(); it != pool.chunks.end();) {
    const auto [base, bytes] = *it;
    if (pool.reserved_bytes <= keep_bytes || !pool.free.TakeAt(base, bytes)) {
      ++it;
      continue;
    }
    if (pool.fd >= 0) {
      BackByNothing(base, bytes);
      fallocate(pool.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(base - pool.device->arena.start()), static_cast<off_t>(bytes));
    }
    pool.device->arena.Give(base, bytes);
    if (!pool.managed) pool.device->Release(bytes);
    pool.reserved_bytes -= bytes;
    it = pool.chunks.erase(it);
  }
}

Pool::~Pool() {
  if (fd >= 0) close(fd);
}

std::string PoolFileName(const Device& device) { return "tessera-sim-pool-" + device.config.uuid; }

bool MakeShareable(Pool& pool) {
  Device& device = *pool.device;
  if (!ReserveAddresses(device)) return false;
  pool.fd = MakePages(PoolFileName(device), device.arena.bytes());
  return pool.fd >= 0;
}

std::optional<CUdeviceptr> PoolAllocate(const std::shared_ptr<Pool>& pool, const ContextPtr& ctx,
                                        std::size_t bytes) {
  const std::size_t reserved = RoundUp(bytes, kGranuleBytes);
  if (reserved == 0) return std::nullopt;
  std::optional<std::uint64_t> base;
  {
    const std::lock_guard lock(pool->mu);
    base = pool->free.Take(reserved, kGranuleBytes);
    if (!base && !Grow(*pool, reserved)) {
      // Unused chunks that are too small may stand in the way of a large one.
      PoolTrimLocked(*pool, 0);
      if (!Grow(*pool, reserved)) return std::nullopt;
    }
    if (!base) base = pool->free.Take(reserved, kGranuleBytes);
    if (!base) return std::nullopt;
    pool->used_bytes += bytes;
    pool->used_high_bytes = std::max(pool->used_high_bytes, pool->used_bytes);
  }
  TheDriver().memory.Add({.base = *base,
                          .bytes = bytes,
                          .reserved = reserved,
                          .kind = MemoryKind::kPool,
                          .device = pool->device,
                          .ctx = HomeOf(ctx),
                          .pool = pool});
  return base;
}

void PoolGive(Pool& pool, const Allocation& block) {
  const std::lock_guard lock(pool.mu);
  pool.free.Add(block.base, block.reserved);
  pool.used_bytes -= block.bytes;
  if (pool.destroyed) PoolTrimLocked(pool, 0);
}

void PoolTrim(Pool& pool, std::uint64_t keep_bytes) {
  const std::lock_guard lock(pool.mu);
  PoolTrimLocked(pool, keep_bytes);
}

void TrimPools(Device& device) {
  TheDriver().pools.ForEach([&](Pool& pool) {
    if (pool.device != &device) return;
    const std::lock_guard lock(pool.mu);
    PoolTrimLocked(pool, pool.threshold_bytes);
  });
}

std::shared_ptr<Pool> DefaultPool(Device& device) {
  const std::lock_guard lock(device.mu);
  if (device.default_pool == nullptr) {
    device.default_pool = std::make_shared<Pool>();
    device.default_pool->device = &device;
    device.default_pool->is_default = true;
    TheDriver().pools.Add(device.default_pool);
  }
  return device.default_pool;
}

}  // namespace tessera::sim::cuda
