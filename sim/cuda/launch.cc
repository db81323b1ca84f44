#include "sim/cuda/launch.h"

#include <algorithm>
#include <cstring>

#include "common/abi/cuda_more.h"

namespace tessera::sim::cuda {
namespace {

constexpr std::uint64_t kPlainKernelNs = 10'000;
constexpr unsigned int kMaxBlockThreads = 1024;
constexpr unsigned int kMaxBlockZ = 64;
constexpr unsigned int kMaxGridX = 0x7fffffff;
constexpr unsigned int kMaxGridYZ = 65535;

bool IsGoodShape(const Launch& launch, unsigned int shared_limit_bytes) {
  for (int i = 0; i < 3; ++i) {
    if (launch.grid[i] == 0 || launch.block[i] == 0) return false;
    if (launch.grid[i] > (i == 0 ? kMaxGridX : kMaxGridYZ)) return false;
    if (launch.block[i] > (i == 2 ? kMaxBlockZ : kMaxBlockThreads)) return false;
  }
  const std::uint64_t threads = std::uint64_t{launch.block[0]} * launch.block[1] * launch.block[2];
  return threads <= kMaxBlockThreads && launch.shared_bytes <= shared_limit_bytes;
}

/// The first parameter as 64 bits; from `params`, or from the packed buffer in `extra`.
bool ReadFirst(const Launch& launch, std::uint64_t& value) {
  if (launch.params != nullptr) {
    std::memcpy(&value, launch.params[0], sizeof(value));
    return true;
  }
  const void* buffer = nullptr;
  std::size_t bytes = 0;
  for (void** at = launch.extra; at != nullptr && *at != CU_LAUNCH_PARAM_END; at += 2) {
    if (at[0] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = at[1];
    if (at[0] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<const std::size_t*>(at[1]);
  }
  if (buffer == nullptr || bytes < sizeof(value)) return false;
  std::memcpy(&value, buffer, sizeof(value));
  return true;
}

}  // namespace

KernelWork WorkOf(const Function& function, const Launch& launch) {
  if (!IsGoodShape(launch, function.shared_limit_bytes)) {
    return {.error = CUDA_ERROR_INVALID_VALUE};
  }
  if (launch.params != nullptr && launch.extra != nullptr) {
    return {.error = CUDA_ERROR_INVALID_VALUE};
  }
  const auto& parameters = function.entry.parameters;
  if (!parameters.empty() && launch.params == nullptr && launch.extra == nullptr) {
    return {.error = CUDA_ERROR_INVALID_VALUE};
  }
  if (function.entry.name == "poison") {
    return {.gpu_ns = kPlainKernelNs, .raises = CUDA_ERROR_ILLEGAL_ADDRESS};
  }
  if (function.entry.name == "spin" && parameters.size() == 1 && parameters[0].bytes == 8) {
    std::uint64_t ns = 0;
    if (!ReadFirst(launch, ns)) return {.error = CUDA_ERROR_INVALID_VALUE};
    return {.gpu_ns = std::max<std::uint64_t>(ns, 1)};
  }
  return {.gpu_ns = kPlainKernelNs};
}

}  // namespace tessera::sim::cuda
