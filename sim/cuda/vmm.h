#pragma once

#include <memory>

#include "common/abi/cuda.h"
#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

/// Physical memory of cuMemCreate: charged while a handle or a mapping holds it. Backed by a memory
/// file, so that two mappings show the same bytes.
struct Physical {
  Device* device = nullptr;
  std::size_t bytes = 0;
  int fd = -1;
  CUmemAllocationProp prop{};

  Physical() = default;
  Physical(const Physical&) = delete;
  Physical& operator=(const Physical&) = delete;
  ~Physical();
};

/// cuMemCreate's: null with `error` set where it cannot be had.
std::shared_ptr<Physical> MakePhysical(const CUmemAllocationProp& prop, std::size_t bytes,
                                       CUresult& error);

}  // namespace tessera::sim::cuda
