#include <algorithm>

#include "common/abi/cuda_more.h"
#include "sim/cuda/array.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"

using namespace tessera::sim::cuda;

namespace {

constexpr std::size_t kLargestSide = 131072;

bool IsGood(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, std::size_t element_bytes) {
  const bool channels =
      descriptor.NumChannels == 1 || descriptor.NumChannels == 2 || descriptor.NumChannels == 4;
  return channels && element_bytes != 0 && descriptor.Width != 0 &&
         descriptor.Width <= kLargestSide && descriptor.Height <= kLargestSide &&
         descriptor.Depth <= kLargestSide;
}

/// Elements of one level; a side halves with every level, layers do not.
std::size_t BytesOf(const Array& array) {
  const auto& d = array.descriptor;
  return array.row_bytes() * std::max<std::size_t>(d.Height, 1) * std::max<std::size_t>(d.Depth, 1);
}

CUDA_ARRAY3D_DESCRIPTOR Halved(CUDA_ARRAY3D_DESCRIPTOR descriptor) {
  const auto half = [](std::size_t side) {
    return side == 0 ? 0 : std::max<std::size_t>(side / 2, 1);
  };
  descriptor.Width = half(descriptor.Width);
  descriptor.Height = half(descriptor.Height);
  if ((descriptor.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) == 0) {
    descriptor.Depth = half(descriptor.Depth);
  }
  return descriptor;
}

/// Memory for `array` and, one after the other, its levels.
CUresult Place(const ContextPtr& ctx, const std::shared_ptr<Array>& array) {
  Device& device = *ctx->device;
  array->ctx = ctx;
  array->device = &device;
  const std::size_t reserved = RoundUp(array->bytes, kGranuleBytes);
  if (!device.Reserve(reserved)) return CUDA_ERROR_OUT_OF_MEMORY;
  const auto base = device.arena.Take(reserved);
  if (!base) {
    device.Release(reserved);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  array->base = *base;
  array->reserved = reserved;
  CUdeviceptr next = *base;
  for (const auto& level : array->levels) {
    level->ctx = ctx;
    level->device = &device;
    level->base = next;
    next += level->bytes;
    TheDriver().arrays.Add(level);
  }
  TheDriver().arrays.Add(array);
  return CUDA_SUCCESS;
}

CUresult Create(CUarray* out, const CUDA_ARRAY3D_DESCRIPTOR& descriptor) {
  const Current current;
  if (!current) return current.error();
  auto array = std::make_shared<Array>();
  array->descriptor = descriptor;
  if (out == nullptr || !IsGood(descriptor, array->element_bytes())) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  array->bytes = BytesOf(*array);
  const CUresult result = Place(HomeOf(current.ctx()), array);
  if (result == CUDA_SUCCESS) *out = reinterpret_cast<CUarray>(array.get());
  return result;
}

CUresult CreateMipmapped(CUmipmappedArray* out, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                         unsigned int levels) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || descriptor == nullptr || levels == 0) return CUDA_ERROR_INVALID_VALUE;
  auto array = std::make_shared<Array>();
  array->descriptor = *descriptor;
  array->mipmapped = true;
  if (!IsGood(*descriptor, array->element_bytes())) return CUDA_ERROR_INVALID_VALUE;
  CUDA_ARRAY3D_DESCRIPTOR next = *descriptor;
  for (unsigned int i = 0; i < levels && i < 18; ++i) {  // 2^17 is the largest side
    auto level = std::make_shared<Array>();
    level->descriptor = next;
    level->bytes = BytesOf(*level);
    array->bytes += level->bytes;
    array->levels.push_back(std::move(level));
    next = Halved(next);
  }
  const CUresult result = Place(HomeOf(current.ctx()), array);
  if (result == CUDA_SUCCESS) *out = reinterpret_cast<CUmipmappedArray>(array.get());
  return result;
}

template <typename Handle>
CUresult Destroy(Handle handle, bool mipmapped) {
  const Current current;
  if (!current) return current.error();
  const auto array = TheDriver().arrays.Find(handle);
  // A level goes with its mipmapped array.
  if (array == nullptr || array->mipmapped != mipmapped || array->reserved == 0) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  array->device->engine->Wait(array->device->engine->last());
  if (TheDriver().arrays.Take(handle) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  for (const auto& level : array->levels) TheDriver().arrays.Take(level.get());
  ReleaseArray(*array);
  return CUDA_SUCCESS;
}

CUDA_ARRAY3D_DESCRIPTOR Widen(const CUDA_ARRAY_DESCRIPTOR& d) {
  return {d.Width, d.Height, 0, d.Format, d.NumChannels, 0};
}

std::size_t JournalBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor) {
  Array array;
  array.descriptor = descriptor;
  return BytesOf(array);
}

CUresult CreateJournaled(std::string_view call, CUarray* out,
                         const CUDA_ARRAY3D_DESCRIPTOR& descriptor) {
  return Journal(call, {{"bytes", JournalBytes(descriptor)}}, Create(out, descriptor));
}

}  // namespace

extern "C" {

CUresult cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* descriptor) {
  if (descriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return CreateJournaled("cuArrayCreate_v2", array, Widen(*descriptor));
}

CUresult cuArrayCreate(CUarray* array, const CUDA_ARRAY_DESCRIPTOR_v1* d) {
  if (d == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return CreateJournaled("cuArrayCreate", array,
                         Widen({d->Width, d->Height, d->Format, d->NumChannels}));
}

CUresult cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor) {
  if (descriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return CreateJournaled("cuArray3DCreate_v2", array, *descriptor);
}

CUresult cuArray3DCreate(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR_v1* d) {
  if (d == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return CreateJournaled("cuArray3DCreate", array,
                         {d->Width, d->Height, d->Depth, d->Format, d->NumChannels, d->Flags});
}

CUresult cuArrayDestroy(CUarray array) {
  return Journal("cuArrayDestroy", {}, Destroy(array, false));
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                                unsigned int levels) {
  return Journal("cuMipmappedArrayCreate", {{"levels", levels}},
                 CreateMipmapped(array, descriptor, levels));
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray array) {
  return Journal("cuMipmappedArrayDestroy", {}, Destroy(array, true));
}

CUresult cuMipmappedArrayGetLevel(CUarray* level_array, CUmipmappedArray handle,
                                  unsigned int level) {
  const Current current;
  if (!current) return current.error();
  const auto array = TheDriver().arrays.Find(handle);
  if (array == nullptr || !array->mipmapped) return CUDA_ERROR_INVALID_HANDLE;
  if (level_array == nullptr || level >= array->levels.size()) return CUDA_ERROR_INVALID_VALUE;
  *level_array = reinterpret_cast<CUarray>(array->levels[level].get());
  return CUDA_SUCCESS;
}

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR* descriptor, CUarray handle) {
  const Current current;
  if (!current) return current.error();
  const auto array = TheDriver().arrays.Find(handle);
  if (array == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (descriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *descriptor = array->descriptor;
  return CUDA_SUCCESS;
}

CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR* descriptor, CUarray handle) {
  CUDA_ARRAY3D_DESCRIPTOR wide{};
  const CUresult result = cuArray3DGetDescriptor_v2(&wide, handle);
  if (result != CUDA_SUCCESS) return result;
  if (descriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *descriptor = {wide.Width, wide.Height, wide.Format, wide.NumChannels};
  return CUDA_SUCCESS;
}

/// Known before memory is taken only of arrays with deferred mapping, which are not simulated: of
/// any array it says what the array took.
CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* requirements, CUarray handle,
                                      CUdevice ordinal) {
  if (const CUresult error = Ready()) return error;
  if (FindDevice(ordinal) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const auto array = TheDriver().arrays.Find(handle);
  if (array == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (requirements == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *requirements = {RoundUp(array->bytes, kGranuleBytes), kGranuleBytes, {}};
  return CUDA_SUCCESS;
}

}  // extern "C"
