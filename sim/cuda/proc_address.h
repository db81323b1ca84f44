#pragma once

#include <string_view>

#include "common/abi/cuda.h"

namespace tessera::sim::cuda {

struct FoundSymbol {
  void* function = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
};

/// The newest version of a function that is not newer than `cuda_version`; the per-thread default
/// stream flavour where there is one and it is asked for.
FoundSymbol FindSymbol(std::string_view name, int cuda_version, bool per_thread);

}  // namespace tessera::sim::cuda
