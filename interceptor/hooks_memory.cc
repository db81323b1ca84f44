#include <cstdint>
#include <limits>

#include "common/abi/cuda.h"
#include "interceptor/blocks.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/host_memory.h"
#include "interceptor/scope.h"

namespace tessera {
namespace {

/// Rows of pitched memory start on multiples of at most this many bytes on every GPU so far.
constexpr std::uint64_t kPitchAlignment = 512;
constexpr std::uint64_t kTooMuch = std::numeric_limits<std::uint64_t>::max();

/// What the driver takes for one.
bool IsElementSize(unsigned int bytes) { return bytes == 4 || bytes == 8 || bytes == 16; }

std::uint64_t Multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kTooMuch : product;
}

std::uint64_t GuessPitch(std::uint64_t width_bytes) {
  if (width_bytes > kTooMuch - kPitchAlignment) return kTooMuch;
  return (width_bytes + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
}

std::uint64_t GuessPitched(std::uint64_t width_bytes, std::uint64_t height) {
  return Multiply(GuessPitch(width_bytes), height);
}

/// The driver chooses the pitch, so the true size is known only after the call: the `guess`, what
/// it should be, is reserved, and corrected here.
template <typename Pointer, typename Size, typename Allocate, typename Free>
CUresult AllocatePitched(const Place& place, std::uint64_t guess, Pointer* ptr, const Size* pitch,
                         std::uint64_t height, const Allocate& allocate, const Free& free) {
  const CUresult result = allocate();
  if (result != CUDA_SUCCESS) {
    session::Release(place.device, guess);
    return result;
  }
  const std::uint64_t bytes = BlockBytes(Multiply(*pitch, height));
  if (bytes > guess && !session::TryReserve(place.device, bytes - guess)) {
    free();
    session::Release(place.device, guess);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (bytes < guess) session::Release(place.device, guess - bytes);
  return Settle(MemoryLedger(), *ptr, MakeCharge(place, bytes), free);
}

/// Pitched memory beyond the share: managed memory knows no pitch, so it is ours to choose.
/// `bytes` are charged to `account`.
CUresult AllocatePitchedManaged(const Place& place, session::Account account, std::uint64_t bytes,
                                CUdeviceptr* ptr, std::size_t* pitch, std::size_t width_bytes,
                                std::size_t height) {
  const std::size_t chosen = GuessPitch(width_bytes);
  const CUresult result = AllocateManaged(ptr, chosen * height, place.ordinal);
  if (result != CUDA_SUCCESS) {
    session::Release(account, bytes);
    return result;
  }
  *pitch = chosen;
  return Settle(MemoryLedger(), *ptr, MakeCharge(place, bytes, account),
                [&] { return Real().cuMemFree_v2(*ptr); });
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuMemAlloc(CUdeviceptr_v1* ptr, unsigned int bytes) {
  const HookScope scope;
  const auto allocate = [&] { return scope.real().cuMemAlloc(ptr, bytes); };
  if (scope.nested() || ptr == nullptr) return allocate();
  return AllocateCharged(MemoryLedger(), CurrentPlace(), BlockBytes(bytes), ptr, allocate,
                         [&] { return scope.real().cuMemFree(*ptr); });
}

[[gnu::hot]] CUresult cuMemAlloc_v2(CUdeviceptr* ptr, std::size_t bytes) {
  const HookScope scope;
  const auto allocate = [&] { return scope.real().cuMemAlloc_v2(ptr, bytes); };
  if (scope.nested() || ptr == nullptr) [[unlikely]]
    return allocate();
  session::Prefetch();
  const Place place = CurrentPlace();
  return AllocateAnywhere(
      place, BlockBytes(bytes), ptr, allocate,
      [&] { return AllocateManaged(ptr, bytes, place.ordinal); },
      [&] { return scope.real().cuMemFree_v2(*ptr); });
}

CUresult cuMemAllocPitch(CUdeviceptr_v1* ptr, unsigned int* pitch, unsigned int width_bytes,
                         unsigned int height, unsigned int element_bytes) {
  const HookScope scope;
  const auto allocate = [&] {
    return scope.real().cuMemAllocPitch(ptr, pitch, width_bytes, height, element_bytes);
  };
  if (scope.nested() || ptr == nullptr || pitch == nullptr) return allocate();
  const Place place = CurrentPlace();
  if (place.result != CUDA_SUCCESS) return place.result;
  const std::uint64_t guess = BlockBytes(GuessPitched(width_bytes, height));
  if (!session::TryReserve(place.device, guess)) return CUDA_ERROR_OUT_OF_MEMORY;
  return AllocatePitched(place, guess, ptr, pitch, height, allocate,
                         [&] { return scope.real().cuMemFree(*ptr); });
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* ptr, std::size_t* pitch, std::size_t width_bytes,
                            std::size_t height, unsigned int element_bytes) {
  const HookScope scope;
  const auto allocate = [&] {
    return scope.real().cuMemAllocPitch_v2(ptr, pitch, width_bytes, height, element_bytes);
  };
  if (scope.nested() || ptr == nullptr || pitch == nullptr) return allocate();
  const Place place = CurrentPlace();
  if (place.result != CUDA_SUCCESS) return place.result;
  const std::uint64_t guess = BlockBytes(GuessPitched(width_bytes, height));
  const session::Account account = session::TryReserveAnywhere(place.device, guess);
  if (account == session::kNoAccount) return CUDA_ERROR_OUT_OF_MEMORY;
  if (account == place.device) {
    return AllocatePitched(place, guess, ptr, pitch, height, allocate,
                           [&] { return scope.real().cuMemFree_v2(*ptr); });
  }
  if (!IsElementSize(element_bytes)) {
    session::Release(account, guess);
    return CUDA_ERROR_INVALID_VALUE;
  }
  return AllocatePitchedManaged(place, account, guess, ptr, pitch, width_bytes, height);
}

CUresult cuMemAllocManaged(CUdeviceptr* ptr, std::size_t bytes, unsigned int flags) {
  const HookScope scope;
  const auto allocate = [&] { return scope.real().cuMemAllocManaged(ptr, bytes, flags); };
  if (scope.nested() || ptr == nullptr) return allocate();
  return AllocateAnywhere(CurrentPlace(), BlockBytes(bytes), ptr, allocate, allocate,
                          [&] { return scope.real().cuMemFree_v2(*ptr); });
}

CUresult cuMemFree(CUdeviceptr_v1 ptr) {
  const HookScope scope;
  const auto free = [&] { return scope.real().cuMemFree(ptr); };
  return scope.nested() ? free() : FreeCharged(MemoryLedger(), ptr, free);
}

[[gnu::hot]] CUresult cuMemFree_v2(CUdeviceptr ptr) {
  const HookScope scope;
  const auto free = [&] { return scope.real().cuMemFree_v2(ptr); };
  return scope.nested() ? free() : FreeCharged(MemoryLedger(), ptr, free);
}
