#include "interceptor/region/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "interceptor/region/layout.h"

namespace tessera::region {
namespace {

constexpr off_t kSlotLockBase = off_t{1} << 40;  // beyond the file: locks need no bytes under them

/// Writes `value` in decimal; returns the end.
char* AppendDecimal(char* out, std::uint64_t value) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) *out++ = digits[--count];
  return out;
}

std::uint64_t ParseDecimal(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

ProcessStat ReadStat(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[1024];
  const ssize_t size = read(fd, text, sizeof(text));
  close(fd);
  return size <= 0 ? ProcessStat{} : ParseStat({text, static_cast<std::size_t>(size)});
}

/// False where /proc is another pid namespace's: its numbers are not ours then.
bool ProcIsOurs() {
  char name[24];
  const ssize_t size = readlink("/proc/self", name, sizeof(name));
  return size > 0 && ParseDecimal({name, static_cast<std::size_t>(size)}) ==
                         static_cast<std::uint64_t>(getpid());
}

struct flock SlotRange(std::uint64_t slot, short type) {
  struct flock range = {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = kSlotLockBase + static_cast<off_t>(slot);
  range.l_len = 1;
  return range;
}

}  // namespace

ProcessStat ParseStat(std::string_view text) {
  constexpr int kState = 3, kThreads = 20, kStart = 22;
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= text.size()) return {};
  text.remove_prefix(name_end + 2);
  ProcessStat stat;
  for (int field = kState; field <= kStart; ++field) {
    const std::size_t end = text.find(' ');
    const std::string_view value = text.substr(0, end);
    if (value.empty()) return {};
    if (field == kState) stat.state = value.front();
    if (field == kThreads) stat.threads = ParseDecimal(value);
    if (field == kStart) stat.start_ticks = ParseDecimal(value);
    if (end == std::string_view::npos && field != kStart) return {};
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  stat.valid = true;
  return stat;
}

ProcessIdentity Self() {
  ProcessIdentity self;
  const ProcessStat stat = ReadStat("/proc/self/stat");
  self.identity = PackIdentity(static_cast<std::uint64_t>(getpid()), stat.start_ticks);
  char link[64];
  const ssize_t size = readlink("/proc/self/ns/pid", link, sizeof(link));
  std::string_view text(link, size > 0 ? static_cast<std::size_t>(size) : 0);
  const std::size_t bracket = text.find('[');
  // Without a start time that others can find only the lock speaks for us.
  if (stat.valid && ProcIsOurs() && bracket != std::string_view::npos) {
    text.remove_prefix(bracket + 1);
    self.pid_namespace = ParseDecimal(text);
  }
  return self;
}

Liveness LivenessHere(std::uint64_t identity) {
  const std::uint64_t pid = PidOf(identity);
  if (pid == 0) return Liveness::kDead;
  if (kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return Liveness::kDead;
  char path[48] = "/proc/";
  char* const end = AppendDecimal(path + strlen(path), pid);
  memcpy(end, "/stat", sizeof("/stat"));
  const ProcessStat stat = ReadStat(path);
  if (!stat.valid) return Liveness::kUnknown;  // hidepid, or it ended just now
  if (stat.start_ticks != StartTicksOf(identity)) return Liveness::kDead;
  // A main thread that has ended is a zombie too while other threads go on.
  const bool ended = (stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1;
  return ended ? Liveness::kDead : Liveness::kAlive;
}

SlotLock LockSlot(int fd, std::uint64_t slot) {
  struct flock range = SlotRange(slot, F_WRLCK);
  if (fcntl(fd, F_OFD_SETLK, &range) == 0) return SlotLock::kLocked;
  return errno == EAGAIN || errno == EACCES ? SlotLock::kBusy : SlotLock::kUnsupported;
}

void UnlockSlot(int fd, std::uint64_t slot) {
  struct flock range = SlotRange(slot, F_UNLCK);
  fcntl(fd, F_OFD_SETLK, &range);
}

Liveness LivenessByLock(int fd, std::uint64_t slot) {
  struct flock range = SlotRange(slot, F_WRLCK);
  if (fcntl(fd, F_OFD_GETLK, &range) != 0) return Liveness::kUnknown;
  return range.l_type == F_UNLCK ? Liveness::kDead : Liveness::kAlive;
}

}  // namespace tessera::region
