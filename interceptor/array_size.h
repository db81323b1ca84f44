#pragma once

#include <cstdint>

#include "common/abi/cuda.h"

namespace tessera {

/// What an array takes, in bytes, before blocks (blocks.h): whole tiles of 64 bytes by 8 to 128
/// rows, as an H200 lays them out; no call tells. Height and depth 0 mean a dimension less.
/// Saturates. A format that we do not know counts as four bytes a channel.
std::uint64_t ArrayBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor);

/// The same for a mipmapped array: each level has half the extent of the one before, at least 1;
/// layers and cube faces are not halved. No more levels than it takes to get down to 1 are counted.
std::uint64_t MipmappedBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, unsigned int levels);

}  // namespace tessera
