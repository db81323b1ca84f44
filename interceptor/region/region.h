#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "interceptor/region/account.h"
#include "interceptor/region/grant.h"
#include "interceptor/region/layout.h"
#include "interceptor/region/map.h"
#include "interceptor/region/mutex.h"
#include "interceptor/region/owner.h"

namespace tessera::region {

/// A process's place in its container's region.
///
///   (nothing) --Attach--> slot taken --fork, in the child: ForgetAfterFork--> (nothing)
///
/// There is no detach: a process that ends, however it ends, leaves its slot to whoever looks next,
/// at Attach or when an allocation would be refused. Thread-safe after Attach. No allocation, no
/// exception; may change errno. Constant-initialised and trivially destructible, so that one may be
/// a global in a preloaded library.
class Region {
 public:
  constexpr Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  /// Maps the region of `directory`, returns what dead processes had, takes a slot and publishes
  /// the limits. Null on success, else why not (constant text). Once per process.
  const char* Attach(const char* directory, std::span<const DeviceConfig> devices, Policy policy);
  bool attached() const { return mapping_.file != nullptr; }

  /// Tells readers the limits that this process goes by. REQUIRES: attached, the same devices as
  /// then.
  void PublishLimits(std::span<const DeviceConfig> devices, Policy policy);

  /// What a context takes on a device; 0: not known, or not credible.
  std::uint64_t ContextBytes(std::size_t device) const;
  void LearnContextBytes(std::size_t device, std::uint64_t bytes);

  /// Some process of the container found that the device cannot use host memory as its own.
  bool IsUnfitForHostMemory(std::size_t device) const {
    return mapping_.file->host[device].unfit.load(std::memory_order_relaxed) != 0;
  }
  void MarkUnfitForHostMemory(std::size_t device) {
    mapping_.file->host[device].unfit.store(1, std::memory_order_relaxed);
  }

  /// Charges `bytes` to this process if the container's total stays within `limit`; looks for dead
  /// processes before it refuses. Counts no refusal: the caller may ask again with another limit.
  /// An account is a device's index, or HostAccountOf it. REQUIRES: attached, device < number of
  /// devices.
  [[gnu::hot]] Outcome Reserve(std::size_t account, std::uint64_t bytes, std::uint64_t limit);
  [[gnu::hot]] void Release(std::size_t account, std::uint64_t bytes);
  /// Has what a change of the account will touch brought near. REQUIRES: attached.
  void Prefetch(std::size_t account) const {
    const Line& line = lines_[account];
    __builtin_prefetch(&HeadOf(*line.file, account), 1);
    __builtin_prefetch(&BalanceOf(*line.file, line.slot, account), 1);
  }
  std::uint64_t Total(std::size_t account) const {
    return TotalBytes(*lines_[account].file, account);
  }

  /// Moreover this process's part of it.
  AccountUse UseOf(std::size_t account) const {
    const Line& line = lines_[account];
    return region::UseOf(*line.file, line.slot, account);
  }

  /// The slot of the process with that pid in this process's pid namespace; nothing if it owns
  /// none.
  std::optional<std::size_t> SlotOfPid(std::uint64_t pid) const;
  /// What the owner of a slot has in an account: a snapshot.
  std::uint64_t BytesOfSlot(std::size_t slot, std::size_t account) const {
    return LaneBytes(*mapping_.file, slot, account);
  }

  void CountLaunch(std::size_t device) {
    mapping_.file->lanes[slot_][device].launches.fetch_add(1, std::memory_order_relaxed);
  }
  /// Where one thread of this process may count its launches by itself: word `index` of the lane.
  /// REQUIRES: attached, index < kCountingThreads.
  Word& ThreadLaunches(std::size_t device, std::size_t index) {
    return mapping_.file->lanes[slot_][device].thread_launches[index];
  }
  std::uint64_t OwnLaunches(std::size_t device) const {
    return Launches(mapping_.file->lanes[slot_][device]);
  }
  region::Pace& Pace(std::size_t device) { return mapping_.file->devices[device].pace; }
  const region::Grant& Grant(std::size_t device) const {
    return mapping_.file->devices[device].grant;
  }
  /// What this process wants of a device's time (grant.h). REQUIRES: attached.
  void SetWaiting(std::size_t device, WaitsFor what) {
    SetBit(mapping_.file->devices[device].demand.wanting, slot_, what == WaitsFor::kWindow);
    SetBit(mapping_.file->devices[device].demand.held, slot_, what == WaitsFor::kShare);
  }
  void SetRunning(std::size_t device, bool on) {
    SetBit(mapping_.file->devices[device].demand.running, slot_, on);
  }
  void CountDenied(std::size_t device) {
    mapping_.file->lanes[slot_][device].denied.fetch_add(1, std::memory_order_relaxed);
  }

  /// In a forked child: drops the parent's place. Only system calls and plain stores.
  void ForgetAfterFork();

  /// Returns the bytes of every dead owner; true if there was one. Called by Attach and Reserve;
  /// whoever tells the total may call it before.
  bool Reap();

 private:
  [[gnu::hot]] Outcome AddTo(std::size_t account, std::uint64_t bytes, std::uint64_t limit);
  [[gnu::cold]] Outcome ReserveAfterReap(std::size_t account, std::uint64_t bytes,
                                         std::uint64_t limit);
  bool ClaimSlot();
  bool OwnerIsDead(std::size_t slot, std::uint64_t identity) const;
  bool TakeFromDead(std::size_t slot, std::uint64_t identity);
  void FreeSlot(std::size_t slot);

  static constexpr std::size_t kNoSlot = kMaxProcesses;

  Mapping mapping_;
  ProcessIdentity self_;
  std::size_t slot_ = kNoSlot;
  std::size_t device_count_ = 0;
  pthread_mutex_t reap_mutex_ = PTHREAD_MUTEX_INITIALIZER;
  /// All that a change of an account needs, in one cache line: of what a call touches most was
  /// driven out by the driver since the last one.
  struct alignas(64) Line {
    /// A lane has one writer at a time. Never held across a system call or another lock.
    Mutex mutex;
    std::uint32_t slot = 0;  ///< slot_
    Layout* file = nullptr;  ///< mapping_.file
  };
  Line lines_[kMaxAccounts];
};

}  // namespace tessera::region
