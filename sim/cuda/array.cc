#include "sim/cuda/array.h"

#include "sim/cuda/driver.h"

namespace tessera::sim::cuda {

std::size_t Array::element_bytes() const {
  switch (descriptor.Format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      return descriptor.NumChannels;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      return std::size_t{2} * descriptor.NumChannels;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
      return std::size_t{4} * descriptor.NumChannels;
  }
  return 0;
}

void ReleaseArray(const Array& array) {
  if (array.reserved == 0) return;
  array.device->arena.Give(array.base, array.reserved);
  array.device->Release(array.reserved);
}

}  // namespace tessera::sim::cuda
