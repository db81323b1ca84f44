#pragma once

#include <cstdint>

#include "interceptor/driver.h"
#include "interceptor/pool_account.h"

/// For what only the device's free memory tells.
namespace tessera {

/// Of the current context's device, as the driver says; 0 if it does not.
inline std::uint64_t FreeBytes() {
  const RelaxedCapture relaxed;
  std::size_t free = 0;
  std::size_t total = 0;
  return Real().cuMemGetInfo_v2(&free, &total) == CUDA_SUCCESS ? free : 0;
}

inline std::uint64_t Less(std::uint64_t before, std::uint64_t after) {
  return before > after ? before - after : 0;
}

}  // namespace tessera
