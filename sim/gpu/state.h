#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/monotonic.h"
#include "common/base/result.h"
#include "sim/gpu/process_id.h"

namespace tessera::sim::gpu {

/// Time in the shared state, the same for all processes of a machine.
using tessera::NowNs;

inline constexpr std::uint64_t kBucketNs = 100'000'000;
inline constexpr std::size_t kBuckets = 16;
inline constexpr std::size_t kSlots = 256;
/// What NVML calls a sample of utilisation.
inline constexpr std::uint64_t kUtilizationNs = 200'000'000;
inline constexpr std::size_t kUtilizationBuckets = 128;

/// What one process does with one device. Written by its owner alone; read by everybody.
struct Slot {
  std::atomic<ProcessId> owner;  ///< 0: free
  std::atomic<std::uint64_t> used_bytes;
  std::atomic<std::uint64_t> busy_sequence;  ///< odd while the next two are being written
  std::atomic<std::uint64_t> busy_ns;        ///< closed intervals with work queued
  std::atomic<std::uint64_t> busy_from_ns;   ///< start of the open one, 0: no work queued
  std::atomic<std::uint64_t> heartbeat_ns;   ///< when the owner's worker last looked
  std::atomic<std::uint64_t> gpu_ns;         ///< GPU time used since the process started
  std::atomic<std::uint64_t> kernels;        ///< kernels that have ended
  /// GPU time by tenths of a second: bucket number in the upper half, nanoseconds in the lower.
  std::array<std::atomic<std::uint64_t>, kBuckets> recent;
};

inline constexpr std::size_t kHolds = 256;

/// Memory of one process that another has open. While its maker lives it counts for the maker; then
/// it stays in use, once however many have it open, until the last of them lets go.
struct Hold {
  std::atomic<ProcessId> holder;  ///< 0: free
  std::atomic<ProcessId> maker;
  std::atomic<std::uint64_t> id;  ///< of the memory, among the maker's
  std::atomic<std::uint64_t> bytes;
};

struct DeviceFile {
  std::atomic<std::uint64_t> magic;
  std::uint32_t version;
  std::uint32_t size;
  pthread_mutex_t mutex;             ///< robust: the kernel frees it when its owner dies
  std::atomic<std::uint32_t> epoch;  ///< futex: changes when a process becomes busy or idle
  std::array<Slot, kSlots> slots;
  std::array<Hold, kHolds> holds;
  /// GPU time of all processes by stretches of kUtilizationNs: number of the stretch in the upper
  /// half, nanoseconds in the lower (utilization.h).
  std::array<std::atomic<std::uint64_t>, kUtilizationBuckets> utilization;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(Slot) == 192);

struct ProcessUse {
  int pid = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t gpu_ns = 0;
  double recent_share = 0;  ///< GPU time per time over the last second, 0 to 1
};

/// One device's state between processes: a file, mapped. Memory in use is the sum over the slots of
/// living processes, counted under a robust mutex: exact, and a killed process leaves neither a
/// lock nor a charge. Thread-safe.
class DeviceState {
 public:
  /// Opens or creates `folder`/`uuid`.
  static Result<std::unique_ptr<DeviceState>> Open(const std::string& folder,
                                                   const std::string& uuid);
  ~DeviceState();
  DeviceState(const DeviceState&) = delete;
  DeviceState& operator=(const DeviceState&) = delete;

  /// Takes a slot for this process; true if it has one now.
  bool Attach();
  /// Gives back the slot, and with it all that this process has charged.
  void Detach();

  /// Charges this process if the device has so much left. REQUIRES: Attach() succeeded.
  bool Reserve(std::uint64_t bytes, std::uint64_t capacity_bytes);
  void Release(std::uint64_t bytes);
  /// This process has memory of another open, until Drop() or its end. Null: the table is full.
  Hold* Open(ProcessId maker, std::uint64_t id, std::uint64_t bytes);
  void Drop(Hold& hold);
  /// What the living processes have charged, and what they have open of dead ones.
  std::uint64_t used_bytes() const;
  /// Living processes that have a slot.
  std::vector<ProcessUse> Processes() const;

  DeviceFile& file() { return *file_; }
  /// This process's slot, or null.
  Slot* own() const { return own_.load(std::memory_order_acquire); }

 private:
  explicit DeviceState(DeviceFile* file) : file_(file) {}
  void Lock();
  void Unlock();
  /// Frees the slots of dead processes. REQUIRES: locked.
  void Reap();
  /// Bytes that are in use because somebody has them open whose maker has ended.
  std::uint64_t HeldBytes() const;

  DeviceFile* file_;
  std::atomic<Slot*> own_{nullptr};
};

/// Adds GPU time that ended at `now_ns` to a slot's counters.
void AddGpuTime(Slot& slot, std::uint64_t spent_ns, std::uint64_t now_ns);
/// GPU time per time over the last second.
double RecentShare(const Slot& slot, std::uint64_t now_ns);

}  // namespace tessera::sim::gpu
