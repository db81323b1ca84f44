#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

/// Device memory is given out in units of 512 bytes; that is also what a request is charged.
inline constexpr std::size_t kGranuleBytes = 512;
/// Handles of cuMemCreate and what pools take from the device.
inline constexpr std::size_t kVmmGranuleBytes = std::size_t{2} << 20;

/// `bytes` up to a multiple of `unit`; 0 where that does not fit.
constexpr std::size_t RoundUp(std::size_t bytes, std::size_t unit) {
  return bytes > SIZE_MAX - unit ? 0 : (bytes + unit - 1) / unit * unit;
}

/// Free stretches of an address range, first fit, neighbours joined. Pure. Thread-compatible.
class Extents {
 public:
  void Add(std::uint64_t start, std::uint64_t bytes);
  std::optional<std::uint64_t> Take(std::uint64_t bytes, std::uint64_t align);
  /// Takes exactly this stretch if it is free as a whole.
  bool TakeAt(std::uint64_t start, std::uint64_t bytes);
  bool IsFree(std::uint64_t start, std::uint64_t bytes) const;

 private:
  std::map<std::uint64_t, std::uint64_t> free_;  ///< start -> bytes
};

/// Address space of one device: host addresses whose pages exist once they are written.
/// Thread-safe.
class Arena {
 public:
  /// False if the host has not so much address space.
  bool Init(std::uint64_t bytes);
  std::optional<CUdeviceptr> Take(std::uint64_t bytes);
  void Give(CUdeviceptr ptr, std::uint64_t bytes);
  /// REQUIRES: Init() succeeded.
  CUdeviceptr start() const { return start_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::mutex mu_;
  Extents free_;
  bool ready_ = false;
  CUdeviceptr start_ = 0;
  std::uint64_t bytes_ = 0;
};

enum class MemoryKind {
  kDevice,
  kLow,
  kManaged,
  kPool,
  kGraph,
  kGlobal,
  kVmm,
  kHost,
  kRegistered,
  kImported,      ///< cuIpcOpenMemHandle
  kPoolImported,  ///< cuMemPoolImportPointer
};

struct Pool;

/// One allocation or mapping, found by any address in it.
struct Allocation {
  CUdeviceptr base = 0;
  std::size_t bytes = 0;     ///< asked for
  std::size_t reserved = 0;  ///< taken from the arena
  MemoryKind kind = MemoryKind::kDevice;
  Device* device = nullptr;
  std::weak_ptr<Context> ctx = {};
  std::shared_ptr<Pool> pool = {};  ///< may be destroyed already, while blocks of it live
  unsigned int flags = 0;
  std::uint64_t id = 0;
  bool accessible = true;  ///< false: mapped but without cuMemSetAccess
};

/// Every address the driver knows in this process. Thread-safe.
class AddressMap {
 public:
  void Add(const Allocation& allocation);
  /// The allocation that starts at `base` and satisfies `predicate`.
  template <typename Predicate>
  std::optional<Allocation> Take(CUdeviceptr base, Predicate predicate) {
    const std::lock_guard lock(mu_);
    const auto found = by_base_.find(base);
    if (found == by_base_.end() || !predicate(found->second)) return std::nullopt;
    Allocation taken = found->second;
    by_base_.erase(found);
    return taken;
  }
  std::optional<Allocation> Find(CUdeviceptr address) const;
  std::vector<Allocation> TakeOf(const Context& ctx);
  /// True if [address, address + bytes) is accessible and lies in one allocation, or in mappings
  /// without a gap.
  bool Covers(CUdeviceptr address, std::size_t bytes) const;
  /// True if any address of the stretch is known.
  bool Touches(CUdeviceptr address, std::size_t bytes) const;
  void SetAccessible(CUdeviceptr address, std::size_t bytes, bool accessible);

 private:
  mutable std::mutex mu_;
  std::map<CUdeviceptr, Allocation> by_base_;
  std::uint64_t next_id_ = 1;
};

/// Takes device memory for `ctx`: charged, backed and in the address map. Null: out of memory.
std::optional<CUdeviceptr> AllocateDevice(const ContextPtr& ctx, std::size_t bytes,
                                          MemoryKind kind);
/// The same of managed memory, which is the host's: the device is charged nothing.
std::optional<CUdeviceptr> AllocateManaged(const ContextPtr& ctx, std::size_t bytes);
/// Gives back what AllocateDevice took. The allocation is no longer in the map.
void ReleaseAllocation(const Allocation& allocation);

}  // namespace tessera::sim::cuda
