#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

/// Who a process is, and whether the owner of a slot still lives. No allocation; may change errno.
namespace tessera::region {

struct ProcessIdentity {
  std::uint64_t identity = 0;       ///< PackIdentity(pid, start time); never 0
  std::uint64_t pid_namespace = 0;  ///< inode number; 0: unknown (no /proc)
};

/// Fields of /proc/<pid>/stat that tell processes apart.
struct ProcessStat {
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;
  bool valid = false;
};

/// Pure. The command name may hold spaces and brackets; the last ')' ends it.
ProcessStat ParseStat(std::string_view text);

/// The calling process.
ProcessIdentity Self();

enum class Liveness { kAlive, kDead, kUnknown };

/// Asks this pid namespace: same pid and same start time, and not a zombie, is alive.
/// REQUIRES: the identity was made in the caller's pid namespace.
Liveness LivenessHere(std::uint64_t identity);

/// Slot locks: every owner holds a lock of its open file description on the byte kSlotLockBase +
/// slot, which the kernel drops with the process. They judge owners of other pid namespaces, whose
/// numbers mean nothing here: an earlier run of a restarted container, or a sandbox inside the
/// container.
enum class SlotLock { kLocked, kBusy, kUnsupported };
SlotLock LockSlot(int fd, std::uint64_t slot);
void UnlockSlot(int fd, std::uint64_t slot);
/// kDead: nobody holds it. kUnknown: this file system has no such locks.
Liveness LivenessByLock(int fd, std::uint64_t slot);

}  // namespace tessera::region
