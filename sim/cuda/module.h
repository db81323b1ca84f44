#pragma once

#include <string_view>

#include "sim/cuda/driver.h"

namespace tessera::sim::cuda {

/// Outline of a module image. CUDA_ERROR_INVALID_PTX for a PTX text that cannot be read,
/// CUDA_ERROR_NO_BINARY_FOR_GPU for machine code, CUDA_ERROR_INVALID_IMAGE for anything else.
/// REQUIRES: a text ends with a zero, and anything else has 4 bytes.
CUresult ReadImage(const void* image, PtxImage& outline);

/// A module in `ctx`: its functions can be found, its variables take device memory.
/// CUDA_ERROR_OUT_OF_MEMORY where they do not fit.
CUresult LoadModule(const ContextPtr& ctx, PtxImage outline, ModulePtr& module);
/// Takes the module's functions and memory back. The module is no longer in its table.
void UnloadModule(const Module& module);

}  // namespace tessera::sim::cuda
