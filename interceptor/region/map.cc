#include "interceptor/region/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

namespace tessera::region {
namespace {

constexpr char kFileName[] = "/region";
constexpr int kAttempts = 8;
constexpr int kLowestFd = 512;  // out of the way of programs that count on small numbers

struct Path {
  char text[4096];
  std::size_t length = 0;
  bool fits = true;

  void Append(const char* part) {
    const std::size_t size = strlen(part);
    fits = fits && length + size < sizeof(text);
    if (!fits) return;
    memcpy(text + length, part, size + 1);
    length += size;
  }
  void AppendHex(std::uint64_t value) {
    char digits[18] = ".";
    for (int i = 0; i < 16; ++i) digits[1 + i] = "0123456789abcdef"[(value >> (60 - 4 * i)) & 15];
    digits[17] = '\0';
    Append(digits);
  }
};

/// The part of a new file that is not zero.
struct Start {
  Header header;
  Device devices[kMaxDevices];
};
static_assert(sizeof(Start) == offsetof(Layout, owners));

bool WriteAll(int fd, const void* from, std::size_t bytes) {
  const char* at = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t written = write(fd, at, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return true;
}

bool WriteNew(int fd, std::span<const DeviceConfig> devices) {
  Start start = {};
  start.header = {.magic = kMagic,
                  .version = kVersion,
                  .size = sizeof(Layout),
                  .device_count = static_cast<std::uint32_t>(devices.size()),
                  .reserved = {}};
  for (std::size_t i = 0; i < devices.size(); ++i) {
    memcpy(start.devices[i].uuid, devices[i].uuid, kUuidSize);
    start.devices[i].limit_bytes.store(devices[i].limit_bytes, std::memory_order_relaxed);
    start.devices[i].cores_percent.store(devices[i].cores_percent, std::memory_order_relaxed);
  }
  // Processes of one container may run under several users.
  return fchmod(fd, 0666) == 0 && WriteAll(fd, &start, sizeof(start)) &&
         ftruncate(fd, sizeof(Layout)) == 0;
}

/// Puts a complete file under the region's name, unless somebody else was faster.
bool Create(const char* path, std::span<const DeviceConfig> devices) {
  timeval now = {};
  gettimeofday(&now, nullptr);
  Path temporary;
  temporary.Append(path);
  temporary.AppendHex(static_cast<std::uint64_t>(getpid()));
  temporary.AppendHex(static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                      static_cast<std::uint64_t>(now.tv_usec));
  if (!temporary.fits) return false;
  const int fd = open(temporary.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return false;
  const bool written = WriteNew(fd, devices);
  close(fd);
  const bool linked = written && (link(temporary.text, path) == 0 || errno == EEXIST);
  unlink(temporary.text);
  return linked;
}

const char* Check(int fd, std::span<const DeviceConfig> devices) {
  if (lseek(fd, 0, SEEK_END) != static_cast<off_t>(sizeof(Layout))) {
    return "the region has a wrong size";
  }
  Start start = {};
  if (pread(fd, &start, sizeof(start), 0) != static_cast<ssize_t>(sizeof(start))) {
    return "the region cannot be read";
  }
  if (start.header.magic != kMagic) return "the region's header is damaged";
  if (start.header.version != kVersion) return "the region is of another version";
  if (start.header.size != sizeof(Layout)) return "the region's header is damaged";
  if (start.header.device_count != devices.size()) return "the region is for other devices";
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (memcmp(start.devices[i].uuid, devices[i].uuid, kUuidSize) != 0) {
      return "the region is for other devices";
    }
  }
  return nullptr;
}

int OpenOrCreate(const char* path, std::span<const DeviceConfig> devices) {
  for (int i = 0; i < kAttempts; ++i) {
    const int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 || errno != ENOENT) return fd;
    if (!Create(path, devices)) return -1;
  }
  return -1;
}

int MoveOutOfTheWay(int fd) {
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, kLowestFd);
  if (moved < 0) return fd;
  close(fd);
  return moved;
}

}  // namespace

Mapping MapRegion(const char* directory, std::span<const DeviceConfig> devices) {
  if (devices.size() > kMaxDevices) return {.problem = "too many devices"};
  Path path;
  path.Append(directory);
  path.Append(kFileName);
  if (!path.fits) return {.problem = "the region folder's name is too long"};
  const int fd = OpenOrCreate(path.text, devices);
  if (fd < 0) return {.problem = "the region cannot be opened or made in its folder"};
  const char* problem = Check(fd, devices);
  void* memory = MAP_FAILED;
  if (problem == nullptr) {
    memory = mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) problem = "the region cannot be mapped";
  }
  if (problem != nullptr) {
    close(fd);
    return {.problem = problem};
  }
  return {.file = static_cast<Layout*>(memory), .fd = MoveOutOfTheWay(fd)};
}

void Unmap(Mapping& mapping) {
  if (mapping.file != nullptr) munmap(mapping.file, sizeof(Layout));
  if (mapping.fd >= 0) close(mapping.fd);
  mapping = {};
}

}  // namespace tessera::region
