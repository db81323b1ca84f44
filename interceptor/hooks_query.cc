#include <algorithm>
#include <limits>

#include "common/abi/cuda.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/scope.h"

namespace tessera {
namespace {

template <typename Size>
Size Saturate(std::uint64_t value) {
  return static_cast<Size>(std::min<std::uint64_t>(value, std::numeric_limits<Size>::max()));
}

/// The share of the card, and the host memory that stands in for more.
template <typename Size>
Size Total(Size card, const session::Usage& usage) {
  const std::uint64_t share = std::min<std::uint64_t>(card, usage.limit_bytes);
  return Saturate<Size>(share + usage.host_limit_bytes);
}

/// What the driver said of the card, cut down to the container's share. Either pointer may be null.
template <typename Size>
CUresult TellShare(Size* free, Size* total) {
  const Place place = CurrentDevicePlace();
  if (place.result != CUDA_SUCCESS) return place.result;
  const session::Usage usage = session::UsageOf(place.device);
  const std::uint64_t left = usage.limit_bytes - std::min(usage.used_bytes, usage.limit_bytes);
  if (free != nullptr) {
    *free = Saturate<Size>(std::min<std::uint64_t>(*free, left) + usage.host_left_bytes());
  }
  if (total != nullptr) *total = Total(*total, usage);
  return CUDA_SUCCESS;
}

template <typename Size>
CUresult TellTotal(Size* bytes, CUdevice device) {
  const Place place = DevicePlace(device);
  if (place.result != CUDA_SUCCESS) return place.result;
  if (bytes != nullptr) {
    *bytes = Total(*bytes, session::UsageOf(place.device));
  }
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuMemGetInfo(unsigned int* free, unsigned int* total) {
  const HookScope scope;
  const CUresult result = scope.real().cuMemGetInfo(free, total);
  return scope.nested() || result != CUDA_SUCCESS ? result : TellShare(free, total);
}

[[gnu::hot]] CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  const HookScope scope;
  session::Prefetch();
  const CUresult result = scope.real().cuMemGetInfo_v2(free, total);
  return scope.nested() || result != CUDA_SUCCESS ? result : TellShare(free, total);
}

CUresult cuDeviceTotalMem(unsigned int* bytes, CUdevice device) {
  const HookScope scope;
  const CUresult result = scope.real().cuDeviceTotalMem(bytes, device);
  return scope.nested() || result != CUDA_SUCCESS ? result : TellTotal(bytes, device);
}

CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  const HookScope scope;
  const CUresult result = scope.real().cuDeviceTotalMem_v2(bytes, device);
  return scope.nested() || result != CUDA_SUCCESS ? result : TellTotal(bytes, device);
}
