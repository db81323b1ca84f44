#pragma once

#include <cstdint>

namespace tessera::agent {

/// How much of a stretch of time a GPU was at work, for whomever: NVML's utilisation.
struct BusySample {
  std::uint64_t from_ns = 0;  ///< CLOCK_MONOTONIC
  std::uint64_t to_ns = 0;
  std::uint32_t permille = 0;
};

}  // namespace tessera::agent
