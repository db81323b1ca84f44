#pragma once

#include <cstdint>

#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

/// What a launch asks for.
struct Launch {
  unsigned int grid[3] = {1, 1, 1};
  unsigned int block[3] = {1, 1, 1};
  unsigned int shared_bytes = 0;
  void** params = nullptr;
  void** extra = nullptr;
};

/// What a kernel does to the device: how long it takes alone, and the error that it raises.
struct KernelWork {
  CUresult error = CUDA_SUCCESS;  ///< the launch is refused
  std::uint64_t gpu_ns = 0;
  int raises = 0;
};

/// A kernel of the name "spin" takes as many nanoseconds as its one 64-bit parameter says (at
/// least 1); "poison" raises CUDA_ERROR_ILLEGAL_ADDRESS; others take 10 us. REQUIRES: `params` and
/// `extra` are as cuLaunchKernel wants them.
KernelWork WorkOf(const Function& function, const Launch& launch);

}  // namespace tessera::sim::cuda
