#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

/// A CUDA array, or a mipmapped one with its levels. Its bytes lie row by row, without padding.
struct Array {
  std::weak_ptr<Context> ctx;
  Device* device = nullptr;
  CUDA_ARRAY3D_DESCRIPTOR descriptor{};
  CUdeviceptr base = 0;
  std::size_t bytes = 0;     ///< of this array, or of all levels
  std::size_t reserved = 0;  ///< charged; 0: a level, which its mipmapped array owns
  std::vector<std::shared_ptr<Array>> levels;
  bool mipmapped = false;

  std::size_t element_bytes() const;
  std::size_t row_bytes() const { return descriptor.Width * element_bytes(); }
};

/// Gives the array's memory back.
void ReleaseArray(const Array& array);

}  // namespace tessera::sim::cuda
