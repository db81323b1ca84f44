#include "interceptor/limits_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/contract/names.h"

namespace tessera {
namespace {

FileStamp StampOf(const struct stat& info) {
  const auto ns = [](const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; };
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = info.st_size,
          .changed_ns = ns(info.st_ctim),
          .modified_ns = ns(info.st_mtim)};
}

// As system calls: as functions of libc they are younger than the containers that we run in.
FileStamp StampOf(int fd) {
  struct stat info = {};
  return syscall(SYS_fstat, fd, &info) == 0 ? StampOf(info) : FileStamp{};
}

FileStamp StampOf(const char* path) {
  struct stat info = {};
  return syscall(SYS_newfstatat, AT_FDCWD, path, &info, 0) == 0 ? StampOf(info) : FileStamp{};
}

const char* LoadFile(const char* path, Limits& limits, FileStamp& stamp) {
  char text[4096];
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return "the limits file cannot be opened";
  // Before it is read: what is written meanwhile is news at the next look.
  stamp = StampOf(fd);
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < sizeof(text)) {
    got = read(fd, text + size, sizeof(text) - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  close(fd);
  if (got < 0) return "the limits file cannot be read";
  if (size == sizeof(text)) return "the limits file is too long";
  return ParseLimits({text, size}, limits);
}

bool Exists(const char* path) { return access(path, F_OK) == 0; }

const char* NonEmpty(const char* text) { return text != nullptr && *text != '\0' ? text : nullptr; }

}  // namespace

const char* LoadLimits(Limits& limits, LimitsSource& source) {
  const char* path =
      Exists(names::kLimitsDir) ? names::kLimitsPath : NonEmpty(getenv(names::kEnvLimitsFile));
  source.path[0] = '\0';
  if (path != nullptr) {
    // A longer one cannot be opened.
    if (const std::size_t size = strlen(path); size < sizeof(source.path)) {
      memcpy(source.path, path, size + 1);
    }
    return LoadFile(path, limits, source.stamp);
  }
  const char* text = getenv(names::kEnvLimits);
  if (text == nullptr) return "there is no limits file and TESSERA_LIMITS is not set";
  return ParseLimits(text, limits);
}

bool ReloadLimits(LimitsSource& source, Limits& limits, const char*& problem) {
  if (source.path[0] == '\0') return false;
  const FileStamp now = StampOf(source.path);
  if (now.inode == 0 || now == source.stamp) return false;
  problem = LoadFile(source.path, limits, source.stamp);
  return true;
}

const char* FindRegionDirectory() {
  if (Exists(names::kRegionDir)) return names::kRegionDir;
  return NonEmpty(getenv(names::kEnvRegionDir));
}

}  // namespace tessera
