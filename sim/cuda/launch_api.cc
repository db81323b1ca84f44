#include <cstring>

#include "common/abi/cuda_legacy.h"
#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/launch.h"

using namespace tessera::sim::cuda;

namespace {

/// On a part of the multiprocessors a kernel that fills the device takes so much longer.
std::uint64_t TimeOn(const Context& ctx, std::uint64_t gpu_ns) {
  if (ctx.sms == 0) return gpu_ns;
  return gpu_ns * static_cast<std::uint64_t>(ctx.device->config.sms) /
         static_cast<std::uint64_t>(ctx.sms);
}

CUresult Run(CUfunction handle, const Launch& launch, CUstream stream, bool per_thread) {
  if (TheDriver().noop) return CUDA_SUCCESS;
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  const FunctionPtr function = TheDriver().functions.Find(handle);
  if (function == nullptr ||
      (!function->contextless && HomeOf(target.owner) != function->ctx.lock())) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  const KernelWork work = WorkOf(*function, launch);
  if (work.error != CUDA_SUCCESS) return work.error;
  SubmitTo(*target.owner, *target.stream,
           {.gpu_ns = TimeOn(*target.owner, work.gpu_ns), .raises = work.raises},
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

/// With what cuFuncSet* and cuParamSet* have set before.
CUresult RunLegacy(CUfunction handle, int grid_x, int grid_y, CUstream stream) {
  const FunctionPtr function = TheDriver().functions.Find(handle);
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (grid_x <= 0 || grid_y <= 0) return CUDA_ERROR_INVALID_VALUE;
  LegacyLaunch& set = function->legacy;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, set.parameters.data(),
                   CU_LAUNCH_PARAM_BUFFER_SIZE, &set.bytes, CU_LAUNCH_PARAM_END};
  return Run(handle,
             {.grid = {static_cast<unsigned int>(grid_x), static_cast<unsigned int>(grid_y), 1},
              .block = {set.block[0], set.block[1], set.block[2]},
              .shared_bytes = set.shared_bytes,
              .params = nullptr,
              .extra = extra},
             stream, false);
}

template <typename Set>
CUresult SetLegacy(CUfunction handle, const Set& set) {
  if (const CUresult error = Ready()) return error;
  const FunctionPtr function = TheDriver().functions.Find(handle);
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  return set(function->legacy) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult SetParameter(CUfunction handle, int offset, const void* value, unsigned int bytes) {
  return SetLegacy(handle, [&](LegacyLaunch& set) {
    if (value == nullptr || offset < 0 || bytes > set.parameters.size() ||
        static_cast<std::size_t>(offset) > set.parameters.size() - bytes) {
      return false;
    }
    std::memcpy(set.parameters.data() + offset, value, bytes);
    return true;
  });
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

CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS* launches, unsigned int count,
                                              unsigned int flags) {
  if (const CUresult error = Ready()) return error;
  if (launches == nullptr || count == 0 || flags > 3) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = CUDA_SUCCESS;
  for (unsigned int i = 0; i < count && result == CUDA_SUCCESS; ++i) {
    const CUDA_LAUNCH_PARAMS& one = launches[i];
    if (one.hStream == nullptr || one.hStream == CU_STREAM_LEGACY) {
      result = CUDA_ERROR_INVALID_VALUE;
      break;
    }
    result = Run(one.function,
                 {{one.gridDimX, one.gridDimY, one.gridDimZ},
                  {one.blockDimX, one.blockDimY, one.blockDimZ},
                  one.sharedMemBytes,
                  one.kernelParams},
                 one.hStream, false);
  }
  return Journal("cuLaunchCooperativeKernelMultiDevice", {{"count", count}}, result);
}

CUresult cuFuncSetBlockShape(CUfunction function, int x, int y, int z) {
  return SetLegacy(function, [&](LegacyLaunch& set) {
    if (x <= 0 || y <= 0 || z <= 0) return false;
    set.block[0] = static_cast<unsigned int>(x);
    set.block[1] = static_cast<unsigned int>(y);
    set.block[2] = static_cast<unsigned int>(z);
    return true;
  });
}
CUresult cuFuncSetSharedSize(CUfunction function, unsigned int bytes) {
  return SetLegacy(function, [&](LegacyLaunch& set) {
    set.shared_bytes = bytes;
    return true;
  });
}
CUresult cuParamSetSize(CUfunction function, unsigned int bytes) {
  return SetLegacy(function, [&](LegacyLaunch& set) {
    set.bytes = bytes;
    return bytes <= set.parameters.size();
  });
}
CUresult cuParamSeti(CUfunction function, int offset, unsigned int value) {
  return SetParameter(function, offset, &value, sizeof(value));
}
CUresult cuParamSetf(CUfunction function, int offset, float value) {
  return SetParameter(function, offset, &value, sizeof(value));
}
CUresult cuParamSetv(CUfunction function, int offset, void* value, unsigned int bytes) {
  return SetParameter(function, offset, value, bytes);
}
CUresult cuLaunch(CUfunction function) {
  return Journal("cuLaunch", {}, RunLegacy(function, 1, 1, nullptr));
}
CUresult cuLaunchGrid(CUfunction function, int grid_x, int grid_y) {
  return Journal("cuLaunchGrid", {}, RunLegacy(function, grid_x, grid_y, nullptr));
}
CUresult cuLaunchGridAsync(CUfunction function, int grid_x, int grid_y, CUstream stream) {
  return Journal("cuLaunchGridAsync", {}, RunLegacy(function, grid_x, grid_y, stream));
}

}  // extern "C"
