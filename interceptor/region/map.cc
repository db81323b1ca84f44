#include "interceptor/region/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/// The part of a new file that is not zero. The rest is written too: a hole that its file system
/// has no room for later would end the guest by SIGBUS.
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

bool WriteZeros(int fd, std::size_t bytes) {
  static constexpr char kZeros[4096] = {};
  while (bytes > 0) {
    const std::size_t some = bytes < sizeof(kZeros) ? bytes : sizeof(kZeros);
    if (!WriteAll(fd, kZeros, some)) return false;
    bytes -= some;
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
         WriteZeros(fd, sizeof(Layout) - sizeof(Start));
}

/// Puts a complete file under the region's name, unless somebody else was faster. errno says why
/// not.
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
  const bool linked = WriteNew(fd, devices) && (link(temporary.text, path) == 0 || errno == EEXIST);
  const int why = errno;
  close(fd);
  unlink(temporary.text);
  errno = why;
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

const char* WhyNotOpen(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "the region cannot be made: its folder is full";
    case EROFS:
      return "the region cannot be made: its folder is read-only";
    case ELOOP:
      return "the region cannot be opened: it is a symbolic link";
    case EACCES:
    case EPERM:
      return "the region cannot be opened or made: its folder or file denies it";
    default:
      return "the region cannot be opened or made in its folder";
  }
}

/// Where few descriptors are allowed, at least not one of the standard streams.
int MoveOutOfTheWay(int fd) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, kLowestFd);
  if (moved < 0) moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (moved < 0) return fd;
  close(fd);
  return moved;
}

/// fstat as a system call: as a function of libc it is younger than the containers that we run in.
bool Stat(int fd, struct stat& info) { return syscall(SYS_fstat, fd, &info) == 0; }

Mapping Map(int fd) {
  void* const memory = mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  struct stat info = {};
  if (memory == MAP_FAILED || !Stat(fd, info)) {
    close(fd);
    return {.problem = "the region cannot be mapped"};
  }
  return {.file = static_cast<Layout*>(memory),
          .fd = MoveOutOfTheWay(fd),
          .device = info.st_dev,
          .inode = info.st_ino};
}

}  // namespace

Mapping MapRegion(const char* directory, std::span<const DeviceConfig> devices) {
  if (devices.size() > kMaxDevices) return {.problem = "too many devices"};
  Path path;
  path.Append(directory);
  path.Append(kFileName);
  if (!path.fits) return {.problem = "the region folder's name is too long"};
  const int fd = OpenOrCreate(path.text, devices);
  if (fd < 0) return {.problem = WhyNotOpen(errno)};
  if (const char* problem = Check(fd, devices)) {
    close(fd);
    return {.problem = problem};
  }
  return Map(fd);
}

int LockFd(const Mapping& mapping) {
  struct stat info = {};
  const bool ours = mapping.fd >= 0 && Stat(mapping.fd, info) && info.st_dev == mapping.device &&
                    info.st_ino == mapping.inode;
  return ours ? mapping.fd : -1;
}

void Unmap(Mapping& mapping) {
  if (const int fd = LockFd(mapping); fd >= 0) close(fd);
  if (mapping.file != nullptr) munmap(mapping.file, sizeof(Layout));
  mapping = {};
}

}  // namespace tessera::region
