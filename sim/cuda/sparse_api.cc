#include <algorithm>
#include <cstring>

#include "common/abi/cuda_share.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/vmm.h"

using namespace tessera::sim::cuda;

namespace {

bool IsSame(const Tile& tile, const CUarrayMapInfo& info) {
  return tile.array == info.resource &&
         std::memcmp(tile.part, info.subresource, sizeof(tile.part)) == 0;
}

/// REQUIRES: vmm.mu is held.
CUresult Apply(Vmm& vmm, const CUarrayMapInfo& info) {
  std::erase_if(vmm.tiles, [&](const Tile& tile) { return IsSame(tile, info); });
  if (info.memOperationType == CU_MEM_OPERATION_TYPE_UNMAP) return CUDA_SUCCESS;
  const auto found = vmm.handles.find(info.memHandle);
  if (found == vmm.handles.end() || found->second.multicast != nullptr) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Tile tile{.array = info.resource, .part = {}, .physical = found->second.physical};
  std::copy(std::begin(info.subresource), std::end(info.subresource), tile.part);
  vmm.tiles.push_back(std::move(tile));
  return CUDA_SUCCESS;
}

/// What is mapped stays alive; what is in it cannot be seen through the array.
CUresult MapArrays(const CUarrayMapInfo* list, unsigned int count, CUstream stream,
                   bool per_thread) {
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  if (list == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
  WaitFor(*target.owner, LastOf(*target.owner, *target.stream));
  Vmm& vmm = TheVmm();
  const std::lock_guard lock(vmm.mu);
  for (unsigned int i = 0; i < count; ++i) {
    if (const CUresult error = Apply(vmm, list[i])) return error;
  }
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemMapArrayAsync(CUarrayMapInfo* list, unsigned int count, CUstream stream) {
  return MapArrays(list, count, stream, false);
}
CUresult cuMemMapArrayAsync_ptsz(CUarrayMapInfo* list, unsigned int count, CUstream stream) {
  return MapArrays(list, count, stream, true);
}

}  // extern "C"
