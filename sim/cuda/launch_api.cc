#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/launch.h"

using namespace tessera::sim::cuda;

namespace {

CUresult Run(CUfunction handle, const Launch& launch, CUstream stream, bool per_thread) {
  if (TheDriver().noop) return CUDA_SUCCESS;
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  const FunctionPtr function = TheDriver().functions.Find(handle);
  if (function == nullptr || (!function->contextless && target.owner != function->ctx.lock())) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  const KernelWork work = WorkOf(*function, launch);
  if (work.error != CUDA_SUCCESS) return work.error;
  SubmitTo(*target.owner, *target.stream, {.gpu_ns = work.gpu_ns, .raises = work.raises},
           CU_GRAPH_NODE_TYPE_KERNEL);
  return CUDA_SUCCESS;
}

CUresult RunEx(const CUlaunchConfig* config, CUfunction function, void** params, void** extra,
               bool per_thread) {
  if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Run(function,
             {.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
              .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
              .shared_bytes = config->sharedMemBytes,
              .params = params,
              .extra = extra},
             config->hStream, per_thread);
}

}  // namespace

extern "C" {

// NOLINTBEGIN(readability-function-size): the signatures are CUDA's.

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                        void** params, void** extra) {
  return Journal(
      "cuLaunchKernel", {},
      Run(function,
          {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, params, extra},
          stream, false));
}

CUresult cuLaunchKernel_ptsz(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                             unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                             unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                             void** params, void** extra) {
  return Journal(
      "cuLaunchKernel_ptsz", {},
      Run(function,
          {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, params, extra},
          stream, true));
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** params,
                          void** extra) {
  return Journal("cuLaunchKernelEx", {}, RunEx(config, function, params, extra, false));
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction function, void** params,
                               void** extra) {
  return Journal("cuLaunchKernelEx_ptsz", {}, RunEx(config, function, params, extra, true));
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                   unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                   unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                                   void** params) {
  return Journal(
      "cuLaunchCooperativeKernel", {},
      Run(function, {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, params},
          stream, false));
}

CUresult cuLaunchCooperativeKernel_ptsz(CUfunction function, unsigned int grid_x,
                                        unsigned int grid_y, unsigned int grid_z,
                                        unsigned int block_x, unsigned int block_y,
                                        unsigned int block_z, unsigned int shared_bytes,
                                        CUstream stream, void** params) {
  return Journal(
      "cuLaunchCooperativeKernel_ptsz", {},
      Run(function, {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, params},
          stream, true));
}

// NOLINTEND(readability-function-size)

}  // extern "C"
