#include "common/abi/cuda.h"
#include "interceptor/array_size.h"
#include "interceptor/blocks.h"
#include "interceptor/charge.h"
#include "interceptor/scope.h"

namespace tessera {
namespace {

template <typename Flat>
CUDA_ARRAY3D_DESCRIPTOR FromFlat(const Flat& flat) {
  return {flat.Width, flat.Height, 0, flat.Format, flat.NumChannels, 0};
}

/// `create` asks the driver. Where an argument is null it refuses by itself.
template <typename Create>
CUresult CreateArray(const HookScope& scope, CUarray* array,
                     const CUDA_ARRAY3D_DESCRIPTOR& descriptor, const Create& create) {
  return AllocateCharged(ArrayLedger(), CurrentPlace(), BlockBytes(ArrayBytes(descriptor)), array,
                         create, [&] { return scope.real().cuArrayDestroy(*array); });
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuArrayCreate(CUarray* array, const CUDA_ARRAY_DESCRIPTOR_v1* descriptor) {
  const HookScope scope;
  const auto create = [&] { return scope.real().cuArrayCreate(array, descriptor); };
  if (scope.nested() || array == nullptr || descriptor == nullptr) return create();
  return CreateArray(scope, array, FromFlat(*descriptor), create);
}

CUresult cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* descriptor) {
  const HookScope scope;
  const auto create = [&] { return scope.real().cuArrayCreate_v2(array, descriptor); };
  if (scope.nested() || array == nullptr || descriptor == nullptr) return create();
  return CreateArray(scope, array, FromFlat(*descriptor), create);
}

CUresult cuArray3DCreate(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR_v1* descriptor) {
  const HookScope scope;
  const auto create = [&] { return scope.real().cuArray3DCreate(array, descriptor); };
  if (scope.nested() || array == nullptr || descriptor == nullptr) return create();
  CUDA_ARRAY3D_DESCRIPTOR wide = FromFlat(*descriptor);
  wide.Depth = descriptor->Depth;
  wide.Flags = descriptor->Flags;
  return CreateArray(scope, array, wide, create);
}

CUresult cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor) {
  const HookScope scope;
  const auto create = [&] { return scope.real().cuArray3DCreate_v2(array, descriptor); };
  if (scope.nested() || array == nullptr || descriptor == nullptr) return create();
  return CreateArray(scope, array, *descriptor, create);
}

CUresult cuArrayDestroy(CUarray array) {
  const HookScope scope;
  const auto destroy = [&] { return scope.real().cuArrayDestroy(array); };
  return scope.nested() ? destroy() : FreeCharged(ArrayLedger(), KeyOf(array), destroy);
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                                unsigned int levels) {
  const HookScope scope;
  const auto create = [&] {
    return scope.real().cuMipmappedArrayCreate(array, descriptor, levels);
  };
  if (scope.nested() || array == nullptr || descriptor == nullptr) return create();
  return AllocateCharged(ArrayLedger(), CurrentPlace(),
                         BlockBytes(MipmappedBytes(*descriptor, levels)), array, create,
                         [&] { return scope.real().cuMipmappedArrayDestroy(*array); });
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray array) {
  const HookScope scope;
  const auto destroy = [&] { return scope.real().cuMipmappedArrayDestroy(array); };
  return scope.nested() ? destroy() : FreeCharged(ArrayLedger(), KeyOf(array), destroy);
}
