#include "sim/gpu/process_id.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace tessera::sim::gpu {
namespace {

constexpr int kStartBits = 42;

struct Stat {
  char state = '?';
  long threads = 0;
  std::uint64_t start_ticks = 0;
};

std::optional<Stat> ReadStat(int pid) {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
  const int fd = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::array<char, 1024> text{};
  const ssize_t got = read(fd, text.data(), text.size() - 1);
  close(fd);
  if (got <= 0) return std::nullopt;
  // The name stands in brackets and may hold anything: fields are counted from its last bracket.
  const char* after_name = std::strrchr(text.data(), ')');
  if (after_name == nullptr) return std::nullopt;
  Stat stat;
  const int fields = std::sscanf(after_name + 1,
                                 " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                                 "%*d %ld %*d %" SCNu64,
                                 &stat.state, &stat.threads, &stat.start_ticks);
  if (fields != 3) return std::nullopt;
  return stat;
}

}  // namespace

ProcessId MakeProcessId(int pid, std::uint64_t start_ticks) {
  const std::uint64_t mask = (std::uint64_t{1} << kStartBits) - 1;
  return (static_cast<std::uint64_t>(pid) << kStartBits) | (start_ticks & mask);
}

int PidOf(ProcessId id) { return static_cast<int>(id >> kStartBits); }

ProcessId Self() {
  const auto stat = ReadStat(getpid());
  return MakeProcessId(getpid(), stat ? stat->start_ticks : 0);
}

bool IsAlive(ProcessId id) {
  const auto stat = ReadStat(PidOf(id));
  if (!stat || MakeProcessId(PidOf(id), stat->start_ticks) != id) return false;
  // A first thread that has ended is a zombie too, while the others go on.
  return stat->state != 'X' && (stat->state != 'Z' || stat->threads > 1);
}

}  // namespace tessera::sim::gpu
