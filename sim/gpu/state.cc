#include "sim/gpu/state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace tessera::sim::gpu {
namespace {

constexpr std::uint64_t kMagic = 0x7465737365726131;
constexpr std::uint32_t kVersion = 3;

tl::unexpected<Error> SystemError(const std::string& path) {
  return Fail(Errc::kUnavailable, "state file " + path + ": " + std::strerror(errno));
}

void InitialiseFile(void* memory) {
  auto* file = new (memory) DeviceFile{};
  file->version = kVersion;
  file->size = sizeof(DeviceFile);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&file->mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  file->magic.store(kMagic, std::memory_order_release);
}

void* Map(int fd) {
  return mmap(nullptr, sizeof(DeviceFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/// Makes the file whole under another name, then links it: nobody ever sees half a file.
Result<int> Create(const std::string& path) {
  const std::string temporary = path + ".new." + std::to_string(getpid());
  const int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return SystemError(temporary);
  void* memory = MAP_FAILED;
  if (ftruncate(fd, sizeof(DeviceFile)) == 0) memory = Map(fd);
  if (memory != MAP_FAILED) {
    InitialiseFile(memory);
    munmap(memory, sizeof(DeviceFile));
  }
  const bool linked =
      memory != MAP_FAILED && (link(temporary.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const int error = errno;
  close(fd);
  unlink(temporary.c_str());
  errno = error;
  if (!linked) return SystemError(path);
  return 0;
}

void Clear(Slot& slot) {
  slot.used_bytes.store(0);
  slot.busy_ns.store(0);
  slot.busy_from_ns.store(0);
  slot.busy_sequence.store(0);
  slot.heartbeat_ns.store(0);
  slot.gpu_ns.store(0);
  slot.kernels.store(0);
  for (auto& bucket : slot.recent) bucket.store(0);
  slot.owner.store(0);
}

}  // namespace

Result<std::unique_ptr<DeviceState>> DeviceState::Open(const std::string& folder,
                                                       const std::string& uuid) {
  const std::string path = folder + "/" + uuid;
  int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) {
    const auto created = Create(path);
    if (!created) return tl::unexpected(created.error());
    fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  }
  if (fd < 0) return SystemError(path);
  struct stat info {};
  const bool whole = fstat(fd, &info) == 0 && info.st_size == sizeof(DeviceFile);
  void* memory = whole ? Map(fd) : MAP_FAILED;
  const int error = errno;
  close(fd);
  errno = error;
  if (!whole) return Fail(Errc::kInvalidArgument, "state file " + path + ": not of this version");
  if (memory == MAP_FAILED) return SystemError(path);
  auto* file = static_cast<DeviceFile*>(memory);
  if (file->magic.load(std::memory_order_acquire) != kMagic || file->version != kVersion ||
      file->size != sizeof(DeviceFile)) {
    munmap(memory, sizeof(DeviceFile));
    return Fail(Errc::kInvalidArgument, "state file " + path + ": not of this version");
  }
  return std::unique_ptr<DeviceState>(new DeviceState(file));
}

DeviceState::~DeviceState() { munmap(file_, sizeof(DeviceFile)); }

void DeviceState::Lock() {
  // A dead owner leaves nothing half done: each slot is one number that its owner stores.
  if (pthread_mutex_lock(&file_->mutex) == EOWNERDEAD) pthread_mutex_consistent(&file_->mutex);
}

void DeviceState::Unlock() { pthread_mutex_unlock(&file_->mutex); }

void DeviceState::Reap() {
  for (Slot& slot : file_->slots) {
    const ProcessId owner = slot.owner.load();
    if (owner != 0 && &slot != own() && !IsAlive(owner)) Clear(slot);
  }
  for (Hold& hold : file_->holds) {
    const ProcessId holder = hold.holder.load();
    if (holder != 0 && !IsAlive(holder)) hold.holder.store(0);
  }
}

bool DeviceState::Attach() {
  if (own() != nullptr) return true;
  const ProcessId self = Self();
  Lock();
  Reap();
  Slot* free_slot = nullptr;
  for (Slot& slot : file_->slots) {
    const ProcessId owner = slot.owner.load();
    // The same owner: this process before an exec.
    if (owner == self || (owner == 0 && free_slot == nullptr)) free_slot = &slot;
    if (owner == self) break;
  }
  if (free_slot != nullptr) {
    Clear(*free_slot);
    free_slot->owner.store(self);
    own_.store(free_slot, std::memory_order_release);
  }
  Unlock();
  return free_slot != nullptr;
}

void DeviceState::Detach() {
  Slot* slot = own_.exchange(nullptr);
  if (slot == nullptr) return;
  Lock();
  Clear(*slot);
  Unlock();
}

bool DeviceState::Reserve(std::uint64_t bytes, std::uint64_t capacity_bytes) {
  Slot* slot = own();
  if (slot == nullptr || bytes > capacity_bytes) return false;
  const auto fits = [&] {
    std::uint64_t used = 0;
    for (const Slot& other : file_->slots) {
      if (other.owner.load() != 0) used += other.used_bytes.load();
    }
    used += HeldBytes();
    return used <= capacity_bytes - bytes;
  };
  Lock();
  bool granted = fits();
  if (!granted) {
    Reap();  // looks at every process: only where it can change the answer
    granted = fits();
  }
  if (granted) slot->used_bytes.fetch_add(bytes);
  Unlock();
  return granted;
}

void DeviceState::Release(std::uint64_t bytes) {
  if (Slot* slot = own()) slot->used_bytes.fetch_sub(bytes);
}

Hold* DeviceState::Open(ProcessId maker, std::uint64_t id, std::uint64_t bytes) {
  Hold* free_hold = nullptr;
  Lock();
  for (Hold& hold : file_->holds) {
    if (hold.holder.load() == 0) free_hold = &hold;
  }
  if (free_hold != nullptr) {
    free_hold->maker.store(maker);
    free_hold->id.store(id);
    free_hold->bytes.store(bytes);
    free_hold->holder.store(Self());
  }
  Unlock();
  return free_hold;
}

void DeviceState::Drop(Hold& hold) { hold.holder.store(0); }

std::uint64_t DeviceState::HeldBytes() const {
  const auto counts = [](const Hold& hold) {
    const ProcessId holder = hold.holder.load();
    return holder != 0 && IsAlive(holder) && !IsAlive(hold.maker.load());
  };
  const auto& holds = file_->holds;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < kHolds; ++i) {
    if (!counts(holds[i])) continue;
    const bool seen = std::any_of(
        holds.begin(), holds.begin() + static_cast<std::ptrdiff_t>(i), [&](const Hold& other) {
          return counts(other) && other.maker.load() == holds[i].maker.load() &&
                 other.id.load() == holds[i].id.load();
        });
    if (!seen) bytes += holds[i].bytes.load();
  }
  return bytes;
}

std::uint64_t DeviceState::used_bytes() const {
  std::uint64_t used = 0;
  for (const Slot& slot : file_->slots) {
    const ProcessId owner = slot.owner.load();
    const std::uint64_t bytes = slot.used_bytes.load();
    if (owner != 0 && bytes != 0 && (&slot == own() || IsAlive(owner))) used += bytes;
  }
  return used + HeldBytes();
}

std::vector<ProcessUse> DeviceState::Processes() const {
  std::vector<ProcessUse> processes;
  const std::uint64_t now = NowNs();
  for (const Slot& slot : file_->slots) {
    const ProcessId owner = slot.owner.load();
    if (owner == 0 || !IsAlive(owner)) continue;
    processes.push_back(
        {PidOf(owner), slot.used_bytes.load(), slot.gpu_ns.load(), RecentShare(slot, now)});
  }
  return processes;
}

void AddGpuTime(Slot& slot, std::uint64_t spent_ns, std::uint64_t now_ns) {
  slot.gpu_ns.fetch_add(spent_ns);
  // From the newest bucket backwards, each at most full.
  std::uint64_t end = now_ns;
  for (std::size_t i = 0; i < kBuckets && spent_ns > 0; ++i) {
    const std::uint64_t number = end / kBucketNs;
    const std::uint64_t part = std::min(spent_ns, end - number * kBucketNs);
    auto& bucket = slot.recent[number % kBuckets];
    const std::uint64_t old = bucket.load();
    const std::uint64_t before = (old >> 32) == (number & 0xffffffff) ? old & 0xffffffff : 0;
    const std::uint64_t sum = std::min(before + part, kBucketNs);
    bucket.store(((number & 0xffffffff) << 32) | sum);
    spent_ns -= part;
    end = number * kBucketNs - (number == 0 ? 0 : 1);
  }
}

double RecentShare(const Slot& slot, std::uint64_t now_ns) {
  const std::uint64_t current = now_ns / kBucketNs;
  std::uint64_t spent = 0;
  for (std::uint64_t back = 1; back <= 10 && back <= current; ++back) {
    const std::uint64_t number = current - back;
    const std::uint64_t bucket = slot.recent[number % kBuckets].load();
    if ((bucket >> 32) == (number & 0xffffffff)) spent += bucket & 0xffffffff;
  }
  return static_cast<double>(spent) / static_cast<double>(10 * kBucketNs);
}

}  // namespace tessera::sim::gpu
