#include "interceptor/pool_account.h"

#include <sys/mman.h>

#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/glibc.h"
#include "interceptor/region/lock.h"

namespace tessera {
namespace {

using region::Lock;

constexpr std::size_t kCachedDevices = 64;

/// Every account that was ever made; those of destroyed pools are used again.
constinit std::atomic<PoolAccount*> accounts = nullptr;
constinit pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
constinit std::atomic<std::uint32_t> graph_trims = 1;
constinit std::atomic<PoolAccount*> current_pool[kCachedDevices] = {};

/// Holds a pool's mutex if nobody else does, this thread included.
class TryLock {
 public:
  explicit TryLock(pthread_mutex_t& mutex)
      : mutex_(pthread_mutex_trylock(&mutex) == 0 ? &mutex : nullptr) {}
  ~TryLock() {
    if (mutex_ != nullptr) pthread_mutex_unlock(mutex_);
  }
  TryLock(const TryLock&) = delete;
  TryLock& operator=(const TryLock&) = delete;
  explicit operator bool() const { return mutex_ != nullptr; }

 private:
  pthread_mutex_t* mutex_;
};

bool IsFree(const PoolAccount& pool) {
  return !pool.of_graphs && pool.handle.load(std::memory_order_acquire) == nullptr &&
         pool.blocks.load(std::memory_order_acquire) == 0 &&
         pool.charged.load(std::memory_order_acquire) == 0;
}

template <typename Predicate>
PoolAccount* First(const Predicate& predicate) {
  PoolAccount* pool = accounts.load(std::memory_order_acquire);
  while (pool != nullptr && !predicate(*pool)) pool = pool->next;
  return pool;
}

/// REQUIRES: `making` is held.
PoolAccount* Make(CUmemoryPool handle, CUdevice ordinal, bool of_graphs) {
  PoolAccount* pool = First(IsFree);
  const bool is_new = pool == nullptr;
  if (is_new) {
    void* const memory = mmap(nullptr, sizeof(PoolAccount), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    pool = new (memory) PoolAccount;
  }
  pool->of_graphs = of_graphs;
  pool->ordinal = ordinal;
  pool->device = DevicePlace(ordinal).device;
  pool->destroyed.store(false, std::memory_order_relaxed);
  pool->handle.store(handle, std::memory_order_release);
  if (is_new) {
    pool->next = accounts.load(std::memory_order_relaxed);
    accounts.store(pool, std::memory_order_release);
  }
  return pool;
}

/// Default pools are made by the driver. REQUIRES: `making` is not held.
void FindDefaultPools() {
  CUmemoryPool handle = nullptr;
  for (CUdevice device = 0; Real().cuDeviceGetDefaultMemPool(&handle, device) == CUDA_SUCCESS;
       ++device) {
    PoolOf(handle, device);
  }
}

std::uint64_t Ask(const PoolAccount& pool, CUmemPool_attribute attribute, std::uint64_t fallback) {
  cuuint64_t value = 0;
  const CUmemoryPool handle = pool.handle.load(std::memory_order_relaxed);
  return Real().cuMemPoolGetAttribute(handle, attribute, &value) == CUDA_SUCCESS ? value : fallback;
}

/// What it was when we last looked, if the driver does not say.
std::uint64_t ReservedBy(const PoolAccount& pool) {
  const std::uint64_t before = pool.charged.load(std::memory_order_relaxed);
  if (pool.destroyed.load(std::memory_order_relaxed)) return before;
  if (!pool.of_graphs) return Ask(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, before);
  cuuint64_t value = 0;
  const CUresult result = Real().cuDeviceGetGraphMemAttribute(
      pool.ordinal, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &value);
  return result == CUDA_SUCCESS ? value : before;
}

}  // namespace

RelaxedCapture::RelaxedCapture() : mode_(CU_STREAM_CAPTURE_MODE_RELAXED) {
  Real().cuThreadExchangeStreamCaptureMode(&mode_);
}
RelaxedCapture::~RelaxedCapture() { Real().cuThreadExchangeStreamCaptureMode(&mode_); }

PoolAccount* FindPool(CUmemoryPool handle) {
  if (handle == nullptr) return nullptr;
  return First([&](const PoolAccount& pool) {
    return pool.handle.load(std::memory_order_acquire) == handle;
  });
}

PoolAccount* FindAnyPool(CUmemoryPool handle) {
  if (PoolAccount* known = FindPool(handle)) return known;
  FindDefaultPools();
  return FindPool(handle);
}

PoolAccount* PoolOf(CUmemoryPool handle, CUdevice ordinal) {
  if (PoolAccount* known = FindPool(handle)) return known;
  const Lock lock(making);
  PoolAccount* const known = FindPool(handle);
  return known != nullptr ? known : Make(handle, ordinal, false);
}

PoolAccount* GraphMemoryOf(CUdevice ordinal) {
  const auto ours = [&](const PoolAccount& pool) {
    return pool.of_graphs && pool.ordinal == ordinal;
  };
  if (PoolAccount* known = First(ours)) return known;
  const Lock lock(making);
  PoolAccount* const known = First(ours);
  return known != nullptr ? known : Make(nullptr, ordinal, true);
}

PoolAccount* CurrentPoolOf(CUdevice ordinal) {
  const auto index = static_cast<std::size_t>(ordinal);
  const bool cacheable = ordinal >= 0 && index < kCachedDevices;
  if (cacheable) {
    if (PoolAccount* pool = current_pool[index].load(std::memory_order_acquire)) return pool;
  }
  CUmemoryPool handle = nullptr;
  if (Real().cuDeviceGetMemPool(&handle, ordinal) != CUDA_SUCCESS) return nullptr;
  PoolAccount* const pool = PoolOf(handle, ordinal);
  if (cacheable) current_pool[index].store(pool, std::memory_order_release);
  return pool;
}

void ForgetCurrentPools() {
  for (auto& pool : current_pool) pool.store(nullptr, std::memory_order_release);
}

std::uint64_t UnusedOf(const PoolAccount& pool) {
  const std::uint64_t reserved = pool.charged.load(std::memory_order_relaxed);
  if (reserved == 0 || pool.of_graphs) return 0;
  const std::uint64_t used = Ask(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, reserved);
  return used < reserved ? reserved - used : 0;
}

bool HasChanged(const PoolAccount& pool) {
  return ReservedBy(pool) != pool.charged.load(std::memory_order_relaxed);
}

bool SettlePool(PoolAccount& pool, std::uint64_t credit, session::Refusal refusal) {
  const std::uint64_t before = pool.charged.load(std::memory_order_relaxed);
  const std::uint64_t now = ReservedBy(pool);
  const std::uint64_t needed = now > before ? now - before : 0;
  if (needed > credit && !session::TryReserve(pool.device, needed - credit, refusal)) {
    session::Release(pool.device, credit);
    return false;
  }
  pool.charged.store(now, std::memory_order_relaxed);
  if (needed < credit) session::Release(pool.device, credit - needed);
  if (now < before) session::Release(pool.device, before - now);
  return true;
}

void SettlePoolAnyway(PoolAccount& pool) {
  const std::uint64_t before = pool.charged.load(std::memory_order_relaxed);
  const std::uint64_t now = ReservedBy(pool);
  if (now > before) session::ChargeAnyway(pool.device, now - before);
  if (now < before) session::Release(pool.device, before - now);
  pool.charged.store(now, std::memory_order_relaxed);
}

void SettlePools() {
  for (PoolAccount* pool = accounts.load(std::memory_order_acquire); pool != nullptr;
       pool = pool->next) {
    if (pool->charged.load(std::memory_order_relaxed) == 0) continue;
    if (const TryLock lock(pool->mutex); lock) SettlePoolAnyway(*pool);
  }
}

bool ShrinkPools(session::DeviceIndex device) {
  if (accounts.load(std::memory_order_acquire) == nullptr) return false;
  const RelaxedCapture relaxed;
  bool fallen = false;
  for (PoolAccount* pool = accounts.load(std::memory_order_acquire); pool != nullptr;
       pool = pool->next) {
    if (pool->device != device || pool->charged.load(std::memory_order_relaxed) == 0) continue;
    const TryLock lock(pool->mutex);
    if (!lock || pool->destroyed.load(std::memory_order_relaxed)) continue;
    const std::uint64_t before = pool->charged.load(std::memory_order_relaxed);
    if (pool->of_graphs) {
      TrimGraphMemory(*pool);
    } else {
      Real().cuMemPoolTrimTo(pool->handle.load(std::memory_order_relaxed), 0);
      SettlePoolAnyway(*pool);
    }
    fallen |= pool->charged.load(std::memory_order_relaxed) < before;
  }
  return fallen;
}

void TrimGraphMemory(PoolAccount& pool) {
  Real().cuDeviceGraphMemTrim(pool.ordinal);
  GraphMemoryTrimmed();
  SettlePoolAnyway(pool);
}

bool SettleOtherGraphMemory(const PoolAccount* except) {
  bool good = true;
  for (PoolAccount* pool = accounts.load(std::memory_order_acquire); pool != nullptr;
       pool = pool->next) {
    if (!pool->of_graphs || pool == except) continue;
    const Lock lock(pool->mutex);
    good &= SettlePool(*pool, 0, session::Refusal::kFinal);
  }
  return good;
}

std::uint32_t GraphTrims() { return graph_trims.load(std::memory_order_acquire); }
void GraphMemoryTrimmed() { graph_trims.fetch_add(1, std::memory_order_acq_rel); }

void BlockArrives(PoolAccount& pool) { pool.blocks.fetch_add(1, std::memory_order_relaxed); }

void BlockLeaves(PoolAccount& pool) {
  if (pool.blocks.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (!pool.destroyed.load(std::memory_order_acquire)) return;
  session::Release(pool.device, pool.charged.exchange(0, std::memory_order_acq_rel));
}

void PoolDestroyed(PoolAccount& pool) {
  pool.handle.store(nullptr, std::memory_order_release);
  pool.destroyed.store(true, std::memory_order_release);
  if (pool.blocks.load(std::memory_order_acquire) != 0) return;
  session::Release(pool.device, pool.charged.exchange(0, std::memory_order_acq_rel));
}

void ForgetPoolsAfterFork() {
  accounts.store(nullptr, std::memory_order_relaxed);
  making = PTHREAD_MUTEX_INITIALIZER;
  ForgetCurrentPools();
}

}  // namespace tessera
