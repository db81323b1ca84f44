#pragma once

#include <cstdint>
#include <vector>

#include "sim/gpu/state.h"

namespace tessera::sim::gpu {

/// So many stretches are told at most: 20 seconds, as a real GPU.
inline constexpr std::size_t kUtilizationSamples = 100;
/// A stretch is told so long after its end: a process tells late what it has had of the GPU.
inline constexpr std::uint64_t kSettleNs = 50'000'000;

/// One stretch of kUtilizationNs that is over.
struct UtilizationSample {
  std::uint64_t end_ns = 0;
  unsigned int percent = 0;  ///< truncated
};

/// Some process had `spent_ns` of the GPU, evenly from `from_ns` to `to_ns`. It may end afterwards.
/// Any process, any thread.
void AddUtilization(DeviceFile& file, std::uint64_t from_ns, std::uint64_t to_ns,
                    std::uint64_t spent_ns);

/// The last stretches, the oldest first, what ended processes had included.
std::vector<UtilizationSample> UtilizationSamples(const DeviceFile& file, std::uint64_t now_ns);

}  // namespace tessera::sim::gpu
