#include "sim/cuda/memory.h"

#include <sys/mman.h>

#include "sim/cuda/driver.h"
#include "sim/cuda/ipc.h"
#include "sim/cuda/pool.h"
#include "sim/cuda/shared_pages.h"

namespace tessera::sim::cuda {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kDropPages = 64 * 1024;  ///< smaller freed blocks keep their host pages

}  // namespace

void Extents::Add(std::uint64_t start, std::uint64_t bytes) {
  auto next = free_.lower_bound(start);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == start) {
      start = before->first;
      bytes += before->second;
      next = free_.erase(before);
    }
  }
  if (next != free_.end() && start + bytes == next->first) {
    bytes += next->second;
    free_.erase(next);
  }
  free_.emplace(start, bytes);
}

std::optional<std::uint64_t> Extents::Take(std::uint64_t bytes, std::uint64_t align) {
  for (const auto& [start, length] : free_) {
    const std::uint64_t aligned = (start + align - 1) / align * align;
    if (aligned - start > length || length - (aligned - start) < bytes) continue;
    if (TakeAt(aligned, bytes)) return aligned;
  }
  return std::nullopt;
}

bool Extents::TakeAt(std::uint64_t start, std::uint64_t bytes) {
  if (!IsFree(start, bytes)) return false;
  const auto found = std::prev(free_.upper_bound(start));
  const std::uint64_t begin = found->first;
  const std::uint64_t end = begin + found->second;
  free_.erase(found);
  if (start > begin) free_.emplace(begin, start - begin);
  if (end > start + bytes) free_.emplace(start + bytes, end - start - bytes);
  return true;
}

bool Extents::IsFree(std::uint64_t start, std::uint64_t bytes) const {
  const auto next = free_.upper_bound(start);
  if (next == free_.begin()) return false;
  const auto found = std::prev(next);
  return start + bytes <= found->first + found->second;
}

bool Arena::Init(std::uint64_t bytes) {
  const std::lock_guard lock(mu_);
  if (ready_) return true;
  // Not in the child after a fork, where the real device memory is not either; not in core dumps.
  void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return false;
  madvise(start, bytes, MADV_DONTFORK);
  madvise(start, bytes, MADV_DONTDUMP);
  free_.Add(reinterpret_cast<std::uint64_t>(start), bytes);
  ready_ = true;
  start_ = reinterpret_cast<CUdeviceptr>(start);
  bytes_ = bytes;
  return true;
}

std::optional<CUdeviceptr> Arena::Take(std::uint64_t bytes) {
  const std::lock_guard lock(mu_);
  const std::uint64_t align = bytes >= kVmmGranuleBytes ? kVmmGranuleBytes
                              : bytes >= kDropPages     ? kPage
                                                        : kGranuleBytes;
  return free_.Take(bytes, align);
}

void Arena::Give(CUdeviceptr ptr, std::uint64_t bytes) {
  const std::lock_guard lock(mu_);
  if (bytes >= kDropPages) {
    const std::uint64_t first = (ptr + kPage - 1) / kPage * kPage;
    const std::uint64_t last = (ptr + bytes) / kPage * kPage;
    madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }
  free_.Add(ptr, bytes);
}

void AddressMap::Add(const Allocation& allocation) {
  const std::lock_guard lock(mu_);
  Allocation& added = by_base_[allocation.base] = allocation;
  added.id = next_id_++;
}

std::optional<Allocation> AddressMap::Find(CUdeviceptr address) const {
  const std::lock_guard lock(mu_);
  const auto next = by_base_.upper_bound(address);
  if (next == by_base_.begin()) return std::nullopt;
  const Allocation& found = std::prev(next)->second;
  if (address - found.base >= found.bytes) return std::nullopt;
  return found;
}

std::vector<Allocation> AddressMap::TakeOf(const Context& ctx) {
  const std::lock_guard lock(mu_);
  std::vector<Allocation> taken;
  for (auto it = by_base_.begin(); it != by_base_.end();) {
    if (it->second.ctx.lock().get() != &ctx) {
      ++it;
      continue;
    }
    taken.push_back(it->second);
    it = by_base_.erase(it);
  }
  return taken;
}

bool AddressMap::Covers(CUdeviceptr address, std::size_t bytes) const {
  if (address + bytes < address) return false;
  const CUdeviceptr end = address + bytes;
  do {
    const auto found = Find(address);
    if (!found || !found->accessible) return false;
    address = found->base + found->bytes;
    if (address < end && found->kind != MemoryKind::kVmm) return false;
  } while (address < end);
  return true;
}

bool AddressMap::Touches(CUdeviceptr address, std::size_t bytes) const {
  if (Find(address)) return true;
  const std::lock_guard lock(mu_);
  const auto next = by_base_.lower_bound(address);
  return next != by_base_.end() && next->first - address < bytes;
}

void AddressMap::SetAccessible(CUdeviceptr address, std::size_t bytes, bool accessible) {
  const std::lock_guard lock(mu_);
  for (auto it = by_base_.lower_bound(address); it != by_base_.end() && it->first - address < bytes;
       ++it) {
    if (it->second.kind == MemoryKind::kVmm) it->second.accessible = accessible;
  }
}

std::optional<CUdeviceptr> AllocateDevice(const ContextPtr& ctx, std::size_t bytes,
                                          MemoryKind kind) {
  Device& device = *ctx->device;
  const std::size_t reserved = RoundUp(bytes, kGranuleBytes);
  if (reserved == 0 || !device.Reserve(reserved)) return std::nullopt;
  std::optional<CUdeviceptr> base;
  if (kind == MemoryKind::kLow) {
    void* low = mmap(nullptr, reserved, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_32BIT, -1, 0);
    if (low != MAP_FAILED) base = reinterpret_cast<CUdeviceptr>(low);
  } else {
    base = device.arena.Take(reserved);
  }
  if (!base) {
    device.Release(reserved);
    return std::nullopt;
  }
  TheDriver().memory.Add({.base = *base,
                          .bytes = bytes,
                          .reserved = reserved,
                          .kind = kind,
                          .device = &device,
                          .ctx = HomeOf(ctx)});
  return base;
}

std::optional<CUdeviceptr> AllocateManaged(const ContextPtr& ctx, std::size_t bytes) {
  const std::size_t reserved = RoundUp(bytes, kPage);
  void* const start = reserved == 0 ? MAP_FAILED
                                    : mmap(nullptr, reserved, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return std::nullopt;
  madvise(start, reserved, MADV_DONTFORK);
  madvise(start, reserved, MADV_DONTDUMP);
  const auto base = reinterpret_cast<CUdeviceptr>(start);
  TheDriver().memory.Add({.base = base,
                          .bytes = bytes,
                          .reserved = reserved,
                          .kind = MemoryKind::kManaged,
                          .device = ctx->device,
                          .ctx = ctx});
  return base;
}

void ReleaseAllocation(const Allocation& allocation) {
  switch (allocation.kind) {
    case MemoryKind::kHost:
    case MemoryKind::kManaged:
      munmap(reinterpret_cast<void*>(allocation.base), allocation.reserved);
      return;
    case MemoryKind::kLow:
      munmap(reinterpret_cast<void*>(allocation.base), allocation.reserved);
      break;
    case MemoryKind::kPool:
      PoolGive(*allocation.pool, allocation);
      return;
    case MemoryKind::kImported:
      ForgetImport(allocation.base);
      [[fallthrough]];
    case MemoryKind::kPoolImported:
      UnmapShared(allocation.base, allocation.reserved);
      return;
    case MemoryKind::kGraph:
    case MemoryKind::kRegistered:
    case MemoryKind::kVmm:
      return;
    default:
      ForgetExport(allocation);
      allocation.device->arena.Give(allocation.base, allocation.reserved);
  }
  allocation.device->Release(allocation.reserved);
}

}  // namespace tessera::sim::cuda
