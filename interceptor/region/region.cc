#include "interceptor/region/region.h"

#include "interceptor/region/lock.h"

namespace tessera::region {

const char* Region::Attach(const char* directory, std::span<const DeviceConfig> devices,
                           Policy policy) {
  self_ = Self();
  mapping_ = MapRegion(directory, devices);
  if (mapping_.file == nullptr) return mapping_.problem;
  device_count_ = devices.size();
  Reap();
  if (!ClaimSlot()) {
    Unmap(mapping_);
    return "the region has no free slot: too many processes of this container use CUDA";
  }
  for (Line& line : lines_) {
    line.file = mapping_.file;
    line.slot = static_cast<std::uint32_t>(slot_);
  }
  PublishLimits(devices, policy);
  return nullptr;
}

void Region::PublishLimits(std::span<const DeviceConfig> devices, Policy policy) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    Device& device = mapping_.file->devices[i];
    device.limit_bytes.store(devices[i].limit_bytes, std::memory_order_relaxed);
    device.cores_percent.store(devices[i].cores_percent, std::memory_order_relaxed);
    device.policy.store(static_cast<std::uint32_t>(policy), std::memory_order_relaxed);
    mapping_.file->host[i].limit_bytes.store(devices[i].host_bytes, std::memory_order_relaxed);
  }
}

std::uint64_t Region::ContextBytes(std::size_t device) const {
  const std::uint64_t bytes = mapping_.file->devices[device].context_bytes.load();
  return bytes <= kMaxContextBytes ? bytes : 0;
}

void Region::LearnContextBytes(std::size_t device, std::uint64_t bytes) {
  Word& word = mapping_.file->devices[device].context_bytes;
  std::uint64_t known = word.load();
  while (bytes != 0 && (known == 0 || bytes < known || known > kMaxContextBytes)) {
    if (word.compare_exchange_weak(known, bytes)) return;
  }
}

bool Region::ClaimSlot() {
  for (std::size_t slot = 0; slot < kMaxProcesses; ++slot) {
    Owner& owner = mapping_.file->owners[slot];
    if (owner.identity.load() != 0) continue;
    const SlotLock lock = LockSlot(LockFd(mapping_), slot);
    if (lock == SlotLock::kBusy) continue;
    // 0 until ours is there: the lock speaks for us meanwhile.
    std::uint64_t nobody = 0;
    if (owner.identity.compare_exchange_strong(nobody, self_.identity)) {
      owner.pid_namespace.store(self_.pid_namespace);
      slot_ = slot;
      return true;
    }
    UnlockSlot(LockFd(mapping_), slot);
  }
  return false;
}

bool Region::OwnerIsDead(std::size_t slot, std::uint64_t identity) const {
  const std::uint64_t pid_namespace = mapping_.file->owners[slot].pid_namespace.load();
  if (pid_namespace != 0 && pid_namespace == self_.pid_namespace) {
    // Ours in another slot: this process before an exec.
    if (identity == self_.identity) return true;
    const Liveness here = LivenessHere(identity);
    if (here != Liveness::kUnknown) return here == Liveness::kDead;
  }
  return LivenessByLock(LockFd(mapping_), slot) == Liveness::kDead;
}

bool Region::TakeFromDead(std::size_t slot, std::uint64_t identity) {
  Owner& owner = mapping_.file->owners[slot];
  const bool same_namespace =
      self_.pid_namespace != 0 && owner.pid_namespace.load() == self_.pid_namespace;
  const bool locked = LockSlot(LockFd(mapping_), slot) == SlotLock::kLocked;
  // A lock inherited by a dead owner's child does not make the owner live; numbers of another
  // namespace do not make him dead.
  if (!locked && !same_namespace) return false;
  if (!same_namespace) owner.pid_namespace.store(0);
  if (!owner.identity.compare_exchange_strong(identity, self_.identity)) {
    if (locked) UnlockSlot(LockFd(mapping_), slot);
    return false;
  }
  owner.pid_namespace.store(self_.pid_namespace);
  for (std::size_t device = 0; device < device_count_; ++device) {
    Subtract(*mapping_.file, slot, device, kMaxBytes);
    const std::size_t host = HostAccountOf(device);
    if (BytesOfSlot(slot, host) != 0) Subtract(*mapping_.file, slot, host, kMaxBytes);
  }
  FreeSlot(slot);
  return true;
}

void Region::FreeSlot(std::size_t slot) {
  for (std::size_t i = 0; i < device_count_; ++i) {
    Demand& demand = mapping_.file->devices[i].demand;
    SetBit(demand.wanting, slot, false);
    SetBit(demand.running, slot, false);
    SetBit(demand.held, slot, false);
  }
  Owner& owner = mapping_.file->owners[slot];
  owner.pid_namespace.store(0);
  owner.identity.store(0);
  UnlockSlot(LockFd(mapping_), slot);
}

bool Region::Reap() {
  const Lock lock(reap_mutex_);
  bool found = false;
  for (std::size_t slot = 0; slot < kMaxProcesses; ++slot) {
    const std::uint64_t identity = mapping_.file->owners[slot].identity.load();
    if (identity == 0 || slot == slot_ || !OwnerIsDead(slot, identity)) continue;
    found = TakeFromDead(slot, identity) || found;
  }
  return found;
}

Outcome Region::AddTo(std::size_t account, std::uint64_t bytes, std::uint64_t limit) {
  Line& line = lines_[account];
  Prefetch(account);  // the lock would hold up what it depends on
  const Hold hold(line.mutex);
  return Add(*line.file, line.slot, account, bytes, limit);
}

Outcome Region::Reserve(std::size_t account, std::uint64_t bytes, std::uint64_t limit) {
  const Outcome outcome = AddTo(account, bytes, limit);
  if (outcome != Outcome::kOverLimit || bytes > limit) [[likely]]
    return outcome;
  return ReserveAfterReap(account, bytes, limit);
}

Outcome Region::ReserveAfterReap(std::size_t account, std::uint64_t bytes, std::uint64_t limit) {
  for (;;) {
    // One more try after an empty Reap: another thread may have been the one that reaped.
    const bool last = !Reap();
    const Outcome outcome = AddTo(account, bytes, limit);
    if (outcome != Outcome::kOverLimit || last) return outcome;
  }
}

void Region::Release(std::size_t account, std::uint64_t bytes) {
  Line& line = lines_[account];
  Prefetch(account);
  const Hold hold(line.mutex);
  Subtract(*line.file, line.slot, account, bytes);
}

std::optional<std::size_t> Region::SlotOfPid(std::uint64_t pid) const {
  for (std::size_t slot = 0; slot < kMaxProcesses; ++slot) {
    const Owner& owner = mapping_.file->owners[slot];
    if (PidOf(owner.identity.load()) != pid || pid == 0) continue;
    const std::uint64_t pid_namespace = owner.pid_namespace.load();
    const bool here = pid_namespace != 0 && pid_namespace == self_.pid_namespace;
    if (here || slot == slot_) return slot;
  }
  return std::nullopt;
}

void Region::ForgetAfterFork() {
  Unmap(mapping_);
  self_ = {};
  slot_ = kNoSlot;
  reap_mutex_ = PTHREAD_MUTEX_INITIALIZER;
  for (Line& line : lines_) {
    line.mutex.ForgetAfterFork();
    line.file = nullptr;
  }
}

}  // namespace tessera::region
