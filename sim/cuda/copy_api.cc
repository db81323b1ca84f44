#include <cstring>

#include "common/abi/cuda_more.h"
#include "sim/cuda/array.h"
#include "sim/cuda/driver.h"

using namespace tessera::sim::cuda;

namespace {

/// A side of a copy: device addresses are checked, host addresses are the caller's word.
enum class Side { kHost, kDevice, kAny };
constexpr bool kWait = true;
constexpr bool kAsync = false;

struct Copy {
  std::uint64_t to = 0;
  std::uint64_t from = 0;
  std::size_t bytes = 0;
  Side to_side = Side::kDevice;
  Side from_side = Side::kDevice;
};

bool IsPageable(std::uint64_t address) { return !TheDriver().memory.Find(address); }

bool IsGood(std::uint64_t address, std::size_t bytes, Side side) {
  const AddressMap& memory = TheDriver().memory;
  if (side == Side::kHost) return address != 0;
  if (side == Side::kAny && IsPageable(address)) return address != 0;
  return memory.Covers(address, bytes);
}

/// Queues `action`, which touches memory; waits for it if it must.
CUresult Run(const Target& target, bool wait, std::function<void()> action) {
  const std::uint64_t number =
      SubmitTo(*target.owner, *target.stream,
               {.action = [run = std::move(action)](std::uint64_t, bool skipped) {
                 if (!skipped) run();
               }});
  return wait ? WaitFor(*target.owner, number) : CUDA_SUCCESS;
}

/// Copies take no GPU time, only that of the host's memcpy. A copy from or to pageable host memory
/// has ended when the call returns, so that the caller may use its buffer; device-to-device and
/// pinned copies are queued.
CUresult DoCopy(const Copy& copy, CUstream stream, bool per_thread, bool wait) {
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  if (copy.bytes == 0) return CUDA_SUCCESS;
  if (!IsGood(copy.to, copy.bytes, copy.to_side) ||
      !IsGood(copy.from, copy.bytes, copy.from_side)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const bool pageable = (copy.to_side != Side::kDevice && IsPageable(copy.to)) ||
                        (copy.from_side != Side::kDevice && IsPageable(copy.from));
  return Run(target, wait || pageable, [copy] {
    std::memmove(reinterpret_cast<void*>(copy.to), reinterpret_cast<const void*>(copy.from),
                 copy.bytes);
  });
}

std::uint64_t Address(const void* ptr) { return reinterpret_cast<std::uint64_t>(ptr); }

/// Rows of `count` elements, `pitch` bytes apart.
template <typename Value>
CUresult Fill(CUdeviceptr to, Value value, std::size_t count, std::size_t rows, std::size_t pitch,
              CUstream stream, bool per_thread, bool wait) {
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  if (count == 0 || rows == 0) return CUDA_SUCCESS;
  const std::size_t row_bytes = count * sizeof(Value);
  if (count > SIZE_MAX / sizeof(Value) || to % sizeof(Value) != 0 ||
      (rows > 1 && pitch < row_bytes) ||
      !TheDriver().memory.Covers(to, (rows - 1) * pitch + row_bytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return Run(target, wait, [=] {
    for (std::size_t row = 0; row < rows; ++row) {
      auto* start = reinterpret_cast<Value*>(to + row * pitch);
      std::fill_n(start, count, value);
    }
  });
}

/// One side of a 2D copy: where its first row starts and how far its rows are apart.
struct Rows {
  std::uint64_t start = 0;
  std::size_t pitch = 0;
  Side side = Side::kDevice;
  bool good = false;
};

Rows ArrayRows(CUarray handle, std::size_t x, std::size_t y, const CUDA_MEMCPY2D& copy) {
  const auto array = TheDriver().arrays.Find(handle);
  if (array == nullptr || array->mipmapped) return {};
  const std::size_t rows = std::max<std::size_t>(array->descriptor.Height, 1);
  const bool fits = x + copy.WidthInBytes <= array->row_bytes() && y + copy.Height <= rows;
  return {array->base + y * array->row_bytes() + x, array->row_bytes(), Side::kHost, fits};
}

Rows LinearRows(CUmemorytype type, std::uint64_t host, CUdeviceptr device, std::size_t pitch,
                std::size_t x, std::size_t y, const CUDA_MEMCPY2D& copy) {
  const Side side = type == CU_MEMORYTYPE_HOST     ? Side::kHost
                    : type == CU_MEMORYTYPE_DEVICE ? Side::kDevice
                                                   : Side::kAny;
  const std::size_t apart = pitch == 0 ? copy.WidthInBytes : pitch;
  const std::uint64_t start = (side == Side::kHost ? host : device) + y * apart + x;
  const std::size_t bytes = (copy.Height - 1) * apart + copy.WidthInBytes;
  return {start, apart, side, apart >= copy.WidthInBytes && IsGood(start, bytes, side)};
}

CUresult Copy2D(const CUDA_MEMCPY2D* copy, CUstream stream, bool per_thread, bool wait) {
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  if (copy == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (copy->WidthInBytes == 0 || copy->Height == 0) return CUDA_SUCCESS;
  const Rows from = copy->srcMemoryType == CU_MEMORYTYPE_ARRAY
                        ? ArrayRows(copy->srcArray, copy->srcXInBytes, copy->srcY, *copy)
                        : LinearRows(copy->srcMemoryType, Address(copy->srcHost), copy->srcDevice,
                                     copy->srcPitch, copy->srcXInBytes, copy->srcY, *copy);
  const Rows to = copy->dstMemoryType == CU_MEMORYTYPE_ARRAY
                      ? ArrayRows(copy->dstArray, copy->dstXInBytes, copy->dstY, *copy)
                      : LinearRows(copy->dstMemoryType, Address(copy->dstHost), copy->dstDevice,
                                   copy->dstPitch, copy->dstXInBytes, copy->dstY, *copy);
  if (!from.good || !to.good) return CUDA_ERROR_INVALID_VALUE;
  const bool pageable = (to.side != Side::kDevice && IsPageable(to.start)) ||
                        (from.side != Side::kDevice && IsPageable(from.start));
  return Run(target, wait || pageable,
             [from, to, width = copy->WidthInBytes, height = copy->Height] {
               for (std::size_t row = 0; row < height; ++row) {
                 std::memmove(reinterpret_cast<void*>(to.start + row * to.pitch),
                              reinterpret_cast<const void*>(from.start + row * from.pitch), width);
               }
             });
}

CUresult Up(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream, bool per_thread,
            bool wait) {
  return DoCopy({to, Address(from), bytes, Side::kDevice, Side::kHost}, stream, per_thread, wait);
}
CUresult Down(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream, bool per_thread,
              bool wait) {
  return DoCopy({Address(to), from, bytes, Side::kHost, Side::kDevice}, stream, per_thread, wait);
}
CUresult Across(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream,
                bool per_thread, bool wait) {
  return DoCopy({to, from, bytes}, stream, per_thread, wait);
}
CUresult Any(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream, bool per_thread,
             bool wait) {
  return DoCopy({to, from, bytes, Side::kAny, Side::kAny}, stream, per_thread, wait);
}

}  // namespace

extern "C" {

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return Any(to, from, bytes, nullptr, false, kWait);
}
CUresult cuMemcpy_ptds(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return Any(to, from, bytes, nullptr, true, kWait);
}
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return Any(to, from, bytes, stream, false, kAsync);
}
CUresult cuMemcpyAsync_ptsz(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return Any(to, from, bytes, stream, true, kAsync);
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, std::size_t bytes) {
  return Up(to, from, bytes, nullptr, false, kWait);
}
CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr to, const void* from, std::size_t bytes) {
  return Up(to, from, bytes, nullptr, true, kWait);
}
CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, std::size_t bytes) {
  return Down(to, from, bytes, nullptr, false, kWait);
}
CUresult cuMemcpyDtoH_v2_ptds(void* to, CUdeviceptr from, std::size_t bytes) {
  return Down(to, from, bytes, nullptr, true, kWait);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return Across(to, from, bytes, nullptr, false, kAsync);
}
CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return Across(to, from, bytes, nullptr, true, kAsync);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes,
                              CUstream stream) {
  return Up(to, from, bytes, stream, false, kAsync);
}
CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr to, const void* from, std::size_t bytes,
                                   CUstream stream) {
  return Up(to, from, bytes, stream, true, kAsync);
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return Down(to, from, bytes, stream, false, kAsync);
}
CUresult cuMemcpyDtoHAsync_v2_ptsz(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return Down(to, from, bytes, stream, true, kAsync);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes,
                              CUstream stream) {
  return Across(to, from, bytes, stream, false, kAsync);
}
CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr to, CUdeviceptr from, std::size_t bytes,
                                   CUstream stream) {
  return Across(to, from, bytes, stream, true, kAsync);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* copy) { return Copy2D(copy, nullptr, false, kWait); }
CUresult cuMemcpy2D_v2_ptds(const CUDA_MEMCPY2D* copy) {
  return Copy2D(copy, nullptr, true, kWait);
}
CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* copy) {
  return Copy2D(copy, nullptr, false, kWait);
}
CUresult cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D* copy) {
  return Copy2D(copy, nullptr, true, kWait);
}
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) {
  return Copy2D(copy, stream, false, kAsync);
}
CUresult cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D* copy, CUstream stream) {
  return Copy2D(copy, stream, true, kAsync);
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, std::size_t count) {
  return Fill(to, value, count, 1, 0, nullptr, false, kAsync);
}
CUresult cuMemsetD8_v2_ptds(CUdeviceptr to, unsigned char value, std::size_t count) {
  return Fill(to, value, count, 1, 0, nullptr, true, kAsync);
}
CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, std::size_t count) {
  return Fill(to, value, count, 1, 0, nullptr, false, kAsync);
}
CUresult cuMemsetD16_v2_ptds(CUdeviceptr to, unsigned short value, std::size_t count) {
  return Fill(to, value, count, 1, 0, nullptr, true, kAsync);
}
CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned int value, std::size_t count) {
  return Fill(to, value, count, 1, 0, nullptr, false, kAsync);
}
CUresult cuMemsetD32_v2_ptds(CUdeviceptr to, unsigned int value, std::size_t count) {
  return Fill(to, value, count, 1, 0, nullptr, true, kAsync);
}
CUresult cuMemsetD2D8_v2(CUdeviceptr to, std::size_t pitch, unsigned char value, std::size_t width,
                         std::size_t height) {
  return Fill(to, value, width, height, pitch, nullptr, false, kAsync);
}
CUresult cuMemsetD2D32_v2(CUdeviceptr to, std::size_t pitch, unsigned int value, std::size_t width,
                          std::size_t height) {
  return Fill(to, value, width, height, pitch, nullptr, false, kAsync);
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  return Fill(to, value, count, 1, 0, stream, false, kAsync);
}
CUresult cuMemsetD8Async_ptsz(CUdeviceptr to, unsigned char value, std::size_t count,
                              CUstream stream) {
  return Fill(to, value, count, 1, 0, stream, true, kAsync);
}
CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, std::size_t count,
                          CUstream stream) {
  return Fill(to, value, count, 1, 0, stream, false, kAsync);
}
CUresult cuMemsetD16Async_ptsz(CUdeviceptr to, unsigned short value, std::size_t count,
                               CUstream stream) {
  return Fill(to, value, count, 1, 0, stream, true, kAsync);
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, std::size_t count, CUstream stream) {
  return Fill(to, value, count, 1, 0, stream, false, kAsync);
}
CUresult cuMemsetD32Async_ptsz(CUdeviceptr to, unsigned int value, std::size_t count,
                               CUstream stream) {
  return Fill(to, value, count, 1, 0, stream, true, kAsync);
}

}  // extern "C"
