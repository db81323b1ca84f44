#include "interceptor/array_size.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr unsigned int kMaxLevels = 64;

std::uint64_t Multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? ~std::uint64_t{0} : product;
}

std::uint64_t Add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? ~std::uint64_t{0} : sum;
}

/// Up to the next multiple. Saturates. REQUIRES: `unit` is a power of two.
std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) {
  return value > ~std::uint64_t{0} - unit ? value : (value + unit - 1) & ~(unit - 1);
}

/// Arrays are laid out in tiles of 64 bytes by 8 rows, stacked up to 16 high: the smallest power of
/// two that covers the array.
constexpr std::uint64_t kTileBytes = 64;
std::uint64_t TileRows(std::uint64_t rows) {
  std::uint64_t unit = 8;
  while (unit < 128 && unit < rows) unit *= 2;
  return unit;
}

std::uint64_t ChannelBytes(CUarray_format format) {
  switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      return 2;
    default:
      return 4;
  }
}

/// Sparse and deferred arrays have no memory of their own: it is mapped to them from cuMemCreate.
bool HasNoMemory(unsigned int flags) {
  return (flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)) != 0;
}

}  // namespace

std::uint64_t ArrayBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor) {
  if (HasNoMemory(descriptor.Flags)) return 0;
  std::uint64_t row = Multiply(ChannelBytes(descriptor.Format), descriptor.NumChannels);
  row = RoundUp(Multiply(row, descriptor.Width), kTileBytes);
  const std::uint64_t rows = std::max<std::uint64_t>(descriptor.Height, 1);
  const std::uint64_t bytes = Multiply(row, RoundUp(rows, TileRows(rows)));
  return Multiply(bytes, std::max<std::uint64_t>(descriptor.Depth, 1));
}

std::uint64_t MipmappedBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, unsigned int levels) {
  const bool depth_is_layers =
      (descriptor.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) != 0;
  CUDA_ARRAY3D_DESCRIPTOR level = descriptor;
  std::uint64_t bytes = 0;
  for (unsigned int i = 0; i < std::min(levels, kMaxLevels); ++i) {
    bytes = Add(bytes, ArrayBytes(level));
    const bool smallest =
        level.Width <= 1 && level.Height <= 1 && (depth_is_layers || level.Depth <= 1);
    if (smallest) break;
    level.Width = std::max<std::size_t>(level.Width / 2, 1);
    level.Height = level.Height == 0 ? 0 : std::max<std::size_t>(level.Height / 2, 1);
    if (!depth_is_layers && level.Depth != 0)
      level.Depth = std::max<std::size_t>(level.Depth / 2, 1);
  }
  return bytes;
}

}  // namespace tessera
