#pragma once

#include <atomic>

#include "common/abi/cuda.h"

/// What the calls do under TESSERA_SIM_NOOP=1: succeed, as cheaply as a call can. For benchmarks of
/// what sits in front of the driver; nothing is counted, backed or run.
namespace tessera::sim::cuda {

inline CUresult NoopAllocate(CUdeviceptr* out, std::size_t bytes) {
  static std::atomic<CUdeviceptr> next{CUdeviceptr{1} << 44};
  if (out == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  *out = next.fetch_add((bytes + 511) / 512 * 512, std::memory_order_relaxed);
  return CUDA_SUCCESS;
}

/// A pool that has reserved a gigabyte and uses none of it.
inline CUresult NoopPoolAttribute(CUmemPool_attribute attribute, void* value) {
  *static_cast<cuuint64_t*>(value) =
      attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT ? 1 << 30 : 0;
  return CUDA_SUCCESS;
}

}  // namespace tessera::sim::cuda
