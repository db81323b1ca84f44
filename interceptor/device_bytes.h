#pragma once

#include <algorithm>
#include <cstdint>

#include "interceptor/region/layout.h"

/// What the driver has taken for itself, by two looks at a device. Pure.
namespace tessera {

/// Bytes that this process has on a device as NVML tells: its own figure, or where NVML does not
/// list it, those of the whole device. 0 without NVML.
struct DeviceBytes {
  std::uint64_t bytes = 0;
  std::uint64_t charged = 0;  ///< what the process was charged with there at that time
  bool of_process = false;
};

/// By how much more, or less, a process has than it is charged with: what other threads take or
/// free between two looks is no matter, but for a call that one of them is in just then.
inline std::int64_t Moved(const DeviceBytes& before, const DeviceBytes& after) {
  return static_cast<std::int64_t>(after.bytes - before.bytes - (after.charged - before.charged));
}

/// What was taken between two looks. 0 if that cannot be a context.
inline std::uint64_t Grown(const DeviceBytes& before, const DeviceBytes& after) {
  // A process that NVML did not list had nothing.
  DeviceBytes from = before;
  if (after.of_process && !before.of_process) from.bytes = 0;
  const std::int64_t grown = Moved(from, after);
  // More than that, and others took memory of the device while we looked.
  const bool possible = grown > 0 && grown <= static_cast<std::int64_t>(region::kMaxContextBytes);
  return possible ? static_cast<std::uint64_t>(grown) : 0;
}

/// What the process still has of `charge` bytes after the green context that they stood for has
/// gone. 0 where NVML does not list the process: the figure of the whole device moves with others,
/// and what of theirs were taken for ours would stay charged as long as the primary context lives.
inline std::uint64_t LeftOf(std::uint64_t charge, const DeviceBytes& before,
                            const DeviceBytes& after) {
  if (!before.of_process || !after.of_process) return 0;
  const std::int64_t returned = Moved(after, before);
  return returned > 0 ? charge - std::min(charge, static_cast<std::uint64_t>(returned)) : charge;
}

}  // namespace tessera
