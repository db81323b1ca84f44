#pragma once

#include <cstdint>
#include <optional>

namespace tessera::sim::gpu {

/// Process id and start time in one word, so that a process id that is used again is not taken for
/// the process that had it before. 0 names no process.
using ProcessId = std::uint64_t;

ProcessId MakeProcessId(int pid, std::uint64_t start_ticks);
int PidOf(ProcessId id);

/// REQUIRES: /proc is mounted.
ProcessId Self();

/// False as soon as the process has ended, also while its parent has not yet waited for it.
/// A process of another pid namespace is not seen, and counts as dead.
bool IsAlive(ProcessId id);

}  // namespace tessera::sim::gpu
