#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

/// How the probe finds the point at which memory runs out. Pure but for the allocator that it is
/// given.
namespace tessera::probe {

enum class Outcome { kAllocated, kOutOfMemory, kOtherError };

struct Allocation {
  Outcome outcome = Outcome::kOutOfMemory;
  std::uint64_t handle = 0;  ///< of what was allocated
  int error = 0;             ///< the driver's number, for kOtherError
};

using Allocate = std::function<Allocation(std::size_t bytes)>;

struct Block {
  std::uint64_t handle = 0;
  std::size_t bytes = 0;
};

struct FillResult {
  std::vector<Block> blocks;
  std::uint64_t held_bytes = 0;  ///< sum of the blocks
  int refusals = 0;
  int other_error = 0;  ///< the first error that was not "out of memory"; the search ended there
};

/// Allocates blocks of `chunk` bytes until refused, then of half of that, and so on down to
/// `smallest`: what is refused in the end is one block of `smallest` bytes. REQUIRES: 0 < smallest
/// <= chunk.
FillResult Fill(const Allocate& allocate, std::size_t chunk, std::size_t smallest);

}  // namespace tessera::probe
