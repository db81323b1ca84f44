#include "agent/arbiter/region_port.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "interceptor/region/grant.h"
#include "interceptor/region/owner.h"

namespace tessera::agent {
namespace {

constexpr std::uint64_t kOpenEveryNs = 200'000'000;
constexpr std::uint64_t kCheckEveryNs = 500'000'000;
constexpr std::uint64_t kJudgeEveryNs = 50'000'000;
/// A quarter of the time that a grant is good for (kGrantLifeNs), less a late look.
constexpr std::uint64_t kHeartbeatNs = 15'000'000;

bool ReadAt(int fd, void* into, std::size_t bytes, off_t at) {
  return pread(fd, into, bytes, at) == static_cast<ssize_t>(bytes);
}

bool IsRegion(const region::Header& header) {
  return header.magic == region::kMagic && header.version == region::kVersion &&
         header.size == sizeof(region::Layout) && header.device_count <= region::kMaxDevices;
}

/// Where in the file the GPU is; -1: the region is not for it.
off_t FindGpu(int fd, const std::string& uuid) {
  region::Header header;
  if (uuid.size() >= region::kUuidSize || !ReadAt(fd, &header, sizeof(header), 0)) return -1;
  if (!IsRegion(header)) return -1;
  for (std::uint32_t i = 0; i < header.device_count; ++i) {
    const auto at = static_cast<off_t>(offsetof(region::Layout, devices) +
                                       std::size_t{i} * sizeof(region::Device));
    char text[region::kUuidSize];
    if (!ReadAt(fd, text, sizeof(text), at)) return -1;
    if (strncmp(text, uuid.c_str(), sizeof(text)) == 0) return at;
  }
  return -1;
}

/// region::Pace and the words of region::Demand that say something, as plain numbers.
struct UseWords {
  std::uint64_t paid_until_ns;
  std::uint64_t counted_until_ns;
  std::uint64_t used_ns;
  std::uint64_t throttled_ns;
  std::uint64_t ended_launches;
  std::uint64_t shallow_launches;
  std::uint64_t wanting[region::kMaxProcesses / 64];
  std::uint64_t running[region::kMaxProcesses / 64];
  std::uint64_t held[region::kMaxProcesses / 64];
};
constexpr std::size_t kUseAt = offsetof(region::Device, pace);
static_assert(kUseAt + offsetof(UseWords, used_ns) ==
              offsetof(region::Device, pace) + offsetof(region::Pace, used_ns));
static_assert(kUseAt + offsetof(UseWords, ended_launches) ==
              offsetof(region::Device, pace) + offsetof(region::Pace, ended_launches));
static_assert(kUseAt + offsetof(UseWords, shallow_launches) ==
              offsetof(region::Device, pace) + offsetof(region::Pace, shallow_launches));
static_assert(kUseAt + offsetof(UseWords, wanting) == offsetof(region::Device, demand));
static_assert(kUseAt + sizeof(UseWords) ==
              offsetof(region::Device, demand) + offsetof(region::Demand, reserved));

/// region::Grant likewise.
struct GrantWords {
  std::uint64_t open_until_ns;
  std::uint64_t likely_open_ns;
  std::uint64_t heartbeat_ns;
  std::uint64_t check;
  std::uint64_t work_permille;
  std::uint64_t reserved[3];
};
static_assert(sizeof(GrantWords) == sizeof(region::Grant));

}  // namespace

RegionPort::RegionPort(std::string path, std::string gpu_uuid)
    : path_(std::move(path)), gpu_uuid_(std::move(gpu_uuid)) {}

RegionPort::~RegionPort() { CloseFile(); }

void RegionPort::Open() {
  // O_NONBLOCK: neither a pipe nor a lease on the file may hold the agent up.
  fd_ = open(path_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd_ < 0) return;
  struct stat info = {};
  const bool plain = fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) &&
                     info.st_size == static_cast<off_t>(sizeof(region::Layout));
  at_ = plain ? FindGpu(fd_, gpu_uuid_) : -1;
  if (at_ < 0) {
    CloseFile();
    return;
  }
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

void RegionPort::CloseFile() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  told_ns_ = 0;
  dead_ = {};
  next_judgement_ns_ = 0;
}

bool RegionPort::IsReplaced() const {
  struct stat info = {};
  return lstat(path_.c_str(), &info) != 0 || info.st_dev != device_ || info.st_ino != inode_;
}

RegionPort::Demand RegionPort::Look(std::uint64_t now_ns) {
  if (now_ns >= next_check_ns_) {
    if (fd_ >= 0 && IsReplaced()) CloseFile();
    if (fd_ < 0) Open();
    next_check_ns_ = now_ns + (fd_ >= 0 ? kCheckEveryNs : kOpenEveryNs);
  }
  if (fd_ < 0) return {};
  UseWords words;
  const off_t at = at_ + static_cast<off_t>(kUseAt);
  if (!ReadAt(fd_, &words, sizeof(words), at)) {  // cut off
    CloseFile();
    return {};
  }
  Bits said;
  for (std::size_t i = 0; i < said.size(); ++i) {
    said[i] = words.wanting[i] | words.running[i] | words.held[i];
  }
  JudgeSlots(said, now_ns);
  Demand demand{.attached = true,
                .used_ns = words.used_ns,
                .throttled_ns = words.throttled_ns,
                .launches = words.ended_launches,
                .shallow_launches = words.shallow_launches};
  for (std::size_t i = 0; i < said.size(); ++i) {
    demand.wanting = demand.wanting || (words.wanting[i] & ~dead_[i]) != 0;
    demand.running = demand.running || (words.running[i] & ~dead_[i]) != 0;
    demand.held = demand.held || (words.held[i] & ~dead_[i]) != 0;
  }
  return demand;
}

/// Whoever is in a slot that says nothing now may be another process when it says something.
void RegionPort::JudgeSlots(const Bits& bits, std::uint64_t now_ns) {
  bool any = false;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    dead_[i] &= bits[i];
    any = any || bits[i] != 0;
  }
  if (!any || now_ns < next_judgement_ns_) return;
  next_judgement_ns_ = now_ns + kJudgeEveryNs;
  for (std::size_t slot = 0; slot < region::kMaxProcesses; ++slot) {
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    if ((bits[slot / 64] & bit) == 0) continue;
    if (region::LivenessByLock(fd_, slot) == region::Liveness::kDead) {
      dead_[slot / 64] |= bit;
    } else {
      dead_[slot / 64] &= ~bit;
    }
  }
}

bool RegionPort::Tell(const TenantGrant& grant, std::uint64_t now_ns) {
  if (fd_ < 0) return false;
  if (told_ns_ != 0 && grant == told_ && now_ns - told_ns_ < kHeartbeatNs) return true;
  const GrantWords words{
      .open_until_ns = grant.open_until_ns,
      .likely_open_ns = grant.likely_open_ns,
      .heartbeat_ns = now_ns,
      .check = region::CheckOf(grant.open_until_ns, grant.likely_open_ns, now_ns),
      .work_permille = grant.work_permille,
      .reserved = {}};
  const off_t at = at_ + static_cast<off_t>(offsetof(region::Device, grant));
  if (pwrite(fd_, &words, sizeof(words), at) != static_cast<ssize_t>(sizeof(words))) {
    CloseFile();
    return false;
  }
  told_ = grant;
  told_ns_ = now_ns;
  return true;
}

}  // namespace tessera::agent
