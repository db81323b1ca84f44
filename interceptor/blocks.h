#pragma once

#include <cstdint>
#include <limits>

/// What the device gives up for an allocation. Measured on an H200 (driver 580.159.04, 256
/// allocations of each of 21 sizes): memory comes in blocks of 2 MiB; up to 1 MiB, allocations of
/// one size share a block, as many as fit whole; beyond, each has blocks of its own.
namespace tessera {

inline constexpr std::uint64_t kBlockBytes = 2 << 20;

/// What each of so many takes that share a block.
struct PartOfBlock {
  std::uint32_t bytes[33] = {};
  constexpr PartOfBlock() {
    for (std::uint32_t sharers = 1; sharers <= 32; ++sharers) {
      bytes[sharers] = static_cast<std::uint32_t>(kBlockBytes) / sharers;
    }
  }
};
inline constexpr PartOfBlock kPartOfBlock;

/// The part of the device's blocks that an allocation of so many bytes takes. Exact beyond 1 MiB,
/// and where smaller ones of a size come together; a mix of small sizes may pack better or worse.
/// Saturates.
inline std::uint64_t BlockBytes(std::uint64_t bytes) {
  constexpr std::uint64_t kShared = kBlockBytes / 2;
  constexpr std::uint64_t kCrumb = kBlockBytes / 32;  // below, what is lost is under 4 %
  if (bytes <= kCrumb) return bytes;
  if (bytes <= kShared) {
    // One division of 32 bits, not two: this stands before every small allocation.
    return kPartOfBlock
        .bytes[static_cast<std::uint32_t>(kBlockBytes) / static_cast<std::uint32_t>(bytes)];
  }
  if (bytes > std::numeric_limits<std::uint64_t>::max() - kBlockBytes) return bytes;
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

}  // namespace tessera
