#include "interceptor/region/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <memory>
#include <optional>

#include "interceptor/region/account.h"
#include "interceptor/region/owner.h"

namespace tessera::region {
namespace {

constexpr int kCopies = 5;

struct Closer {
  int fd;
  ~Closer() { close(fd); }
};

Error SystemError(Errc code, const std::string& what) {
  return {code, what + ": " + strerror(errno)};
}

Result<std::string> ReadUuid(const Device& device, std::size_t index) {
  const std::string name = "devices[" + std::to_string(index) + "].uuid";
  const std::size_t length = strnlen(device.uuid, kUuidSize);
  if (length == 0 || length == kUuidSize) {
    return Fail(Errc::kInvalidArgument, name + " is empty or not terminated");
  }
  for (std::size_t i = 0; i < length; ++i) {
    const auto c = static_cast<unsigned char>(device.uuid[i]);
    if (std::isalnum(c) == 0 && c != '-' && c != '/') {
      return Fail(Errc::kInvalidArgument, name + " has a character that no uuid has");
    }
  }
  return std::string(device.uuid, length);
}

Result<DeviceSnapshot> ReadDevice(const Layout& file, std::size_t index) {
  const Device& device = file.devices[index];
  DeviceSnapshot out;
  TESSERA_TRY(out.uuid, ReadUuid(device, index));
  const std::string name = "devices[" + std::to_string(index) + "].";
  out.gpu_time_ns = device.pace.used_ns.load(std::memory_order_relaxed);
  out.throttled_ns = device.pace.throttled_ns.load(std::memory_order_relaxed);
  out.limit_bytes = device.limit_bytes.load(std::memory_order_relaxed);
  if (out.limit_bytes > kMaxBytes) {
    return Fail(Errc::kInvalidArgument, name + "limit_bytes is " + std::to_string(out.limit_bytes));
  }
  out.host_limit_bytes = file.host[index].limit_bytes.load(std::memory_order_relaxed);
  if (out.host_limit_bytes > kMaxBytes) {
    return Fail(Errc::kInvalidArgument, "host[" + std::to_string(index) + "].limit_bytes is " +
                                            std::to_string(out.host_limit_bytes));
  }
  out.context_bytes = device.context_bytes.load(std::memory_order_relaxed);
  if (out.context_bytes > kMaxContextBytes) {
    return Fail(Errc::kInvalidArgument,
                name + "context_bytes is " + std::to_string(out.context_bytes));
  }
  out.cores_percent = device.cores_percent.load(std::memory_order_relaxed);
  if (out.cores_percent > 100) {
    return Fail(Errc::kInvalidArgument,
                name + "cores_percent is " + std::to_string(out.cores_percent));
  }
  const std::uint32_t policy = device.policy.load(std::memory_order_relaxed);
  if (policy > static_cast<std::uint32_t>(Policy::kBestEffort)) {
    return Fail(Errc::kInvalidArgument, name + "policy is " + std::to_string(policy));
  }
  out.policy = static_cast<Policy>(policy);
  return out;
}

/// nullopt: the lane names a record that it does not hold; torn while copied, or scribbled.
std::optional<std::uint64_t> ReadLaneBytes(const Layout& file, std::size_t slot,
                                           std::size_t account) {
  const Balance& lane = BalanceOf(file, slot, account);
  const std::uint64_t head = HeadOf(file, account).load(std::memory_order_relaxed);
  std::uint64_t counts = lane.committed.load(std::memory_order_relaxed);
  if (head != 0 && SlotOf(head) == slot && SequenceOf(head) > counts) counts = SequenceOf(head);
  if (counts == 0) return 0;
  for (const Record& record : lane.records) {
    if (record.sequence.load(std::memory_order_relaxed) != counts) continue;
    const std::uint64_t used = record.used_bytes.load(std::memory_order_relaxed);
    return used <= kMaxBytes ? std::optional(used) : std::nullopt;
  }
  return std::nullopt;
}

Result<void> CheckHeader(const Header& header) {
  if (header.magic != kMagic) {
    return Fail(Errc::kInvalidArgument, "header.magic is not that of a region");
  }
  if (header.version != kVersion) {
    return Fail(Errc::kInvalidArgument, "header.version is " + std::to_string(header.version) +
                                            ", this agent reads " + std::to_string(kVersion));
  }
  if (header.size != sizeof(Layout)) {
    return Fail(Errc::kInvalidArgument, "header.size is " + std::to_string(header.size) + ", not " +
                                            std::to_string(sizeof(Layout)));
  }
  if (header.device_count > kMaxDevices) {
    return Fail(Errc::kInvalidArgument,
                "header.device_count is " + std::to_string(header.device_count));
  }
  return {};
}

Result<ProcessUse> ReadProcess(const Layout& file, std::size_t slot, std::size_t device_count) {
  const std::uint64_t identity = file.owners[slot].identity.load(std::memory_order_relaxed);
  ProcessUse process{.pid = PidOf(identity), .start_ticks = StartTicksOf(identity), .devices = {}};
  for (std::size_t i = 0; i < device_count; ++i) {
    const auto used = ReadLaneBytes(file, slot, i);
    const auto host = ReadLaneBytes(file, slot, HostAccountOf(i));
    if (!used || !host) {
      return Fail(Errc::kUnavailable, (used ? "host_balances[" : "lanes[") + std::to_string(slot) +
                                          "][" + std::to_string(i) +
                                          "] names a record that it does not hold");
    }
    process.devices.push_back({.device = i,
                               .used_bytes = *used,
                               .host_bytes = *host,
                               .launches = Launches(file.lanes[slot][i])});
  }
  return process;
}

Result<void> Copy(int fd, std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(SystemError(Errc::kUnavailable, "cannot read the region"));
    if (got == 0) {
      return Fail(Errc::kInvalidArgument, "the file ends after " + std::to_string(done) +
                                              " bytes, a region has " +
                                              std::to_string(into.size()));
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

std::array<bool, kMaxProcesses> OwnersAlive(int fd, const Layout& file) {
  std::array<bool, kMaxProcesses> alive{};
  for (std::size_t slot = 0; slot < kMaxProcesses; ++slot) {
    const bool owned = file.owners[slot].identity.load(std::memory_order_relaxed) != 0;
    alive[slot] = owned && LivenessByLock(fd, slot) != Liveness::kDead;
  }
  return alive;
}

Result<int> OpenRegion(const std::string& path) {
  // O_NONBLOCK: opening a pipe that somebody put there must not wait for its other end.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 && errno == ENOENT) return Fail(Errc::kNotFound, "no region at " + path);
  if (fd < 0 && errno == ELOOP) {
    return Fail(Errc::kInvalidArgument, path + " is a symbolic link");
  }
  if (fd < 0) return tl::unexpected(SystemError(Errc::kUnavailable, "cannot open " + path));
  struct stat info = {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return Fail(Errc::kInvalidArgument, path + " is not a regular file");
  }
  if (info.st_size != sizeof(Layout)) {
    close(fd);
    return Fail(Errc::kInvalidArgument, path + " has " + std::to_string(info.st_size) +
                                            " bytes, a region has " +
                                            std::to_string(sizeof(Layout)));
  }
  return fd;
}

}  // namespace

Result<RegionSnapshot> ParseRegion(std::span<const std::byte> bytes, const bool* alive) {
  if (bytes.size() != sizeof(Layout)) {
    return Fail(Errc::kInvalidArgument, "a region has " + std::to_string(sizeof(Layout)) +
                                            " bytes, not " + std::to_string(bytes.size()));
  }
  const auto copy = std::make_unique<Layout>();
  memcpy(static_cast<void*>(copy.get()), bytes.data(), sizeof(Layout));
  const Layout& file = *copy;
  if (const auto header = CheckHeader(file.header); !header) {
    return tl::unexpected(header.error());
  }
  RegionSnapshot snapshot;
  for (std::size_t i = 0; i < file.header.device_count; ++i) {
    TESSERA_TRY(auto device, ReadDevice(file, i));
    snapshot.devices.push_back(std::move(device));
  }
  for (std::size_t slot = 0; slot < kMaxProcesses; ++slot) {
    for (std::size_t i = 0; i < snapshot.devices.size(); ++i) {
      const Lane& lane = file.lanes[slot][i];
      snapshot.devices[i].launches_total += Launches(lane);
      snapshot.devices[i].denied_total += lane.denied.load(std::memory_order_relaxed);
    }
    const bool owned = file.owners[slot].identity.load(std::memory_order_relaxed) != 0;
    if (!owned || (alive != nullptr && !alive[slot])) continue;
    TESSERA_TRY(auto process, ReadProcess(file, slot, snapshot.devices.size()));
    for (const DeviceUse& use : process.devices) {
      snapshot.devices[use.device].used_bytes += use.used_bytes;
      snapshot.devices[use.device].host_used_bytes += use.host_bytes;
    }
    snapshot.processes.push_back(std::move(process));
  }
  return snapshot;
}

Result<RegionSnapshot> ReadRegion(const std::string& path) {
  TESSERA_TRY(const int fd, OpenRegion(path));
  const Closer closer{fd};
  const auto copy = std::make_unique<Layout>();
  const std::span<std::byte> bytes(reinterpret_cast<std::byte*>(copy.get()), sizeof(Layout));
  Result<RegionSnapshot> snapshot = Fail(Errc::kUnavailable, "not read");
  for (int i = 0; i < kCopies; ++i) {
    if (const auto copied = Copy(fd, bytes); !copied) return Wrap(copied.error(), path);
    snapshot = ParseRegion(bytes, OwnersAlive(fd, *copy).data());
    if (snapshot || snapshot.error().code != Errc::kUnavailable) break;
  }
  return snapshot ? snapshot : Wrap(snapshot.error(), path);
}

}  // namespace tessera::region
