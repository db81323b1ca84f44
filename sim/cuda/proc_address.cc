#include "sim/cuda/proc_address.h"

#include <algorithm>
#include <array>

#include "common/abi/cuda_green.h"
#include "common/abi/cuda_legacy.h"
#include "common/abi/cuda_more.h"
#include "common/abi/cuda_share.h"
#include "sim/cuda/driver.h"

namespace tessera::sim::cuda {
namespace {

enum class Streams { kAny, kPerThread };
using enum Streams;

struct Row {
  std::string_view name;
  int since;
  Streams streams;
  void* function;
};

const auto& Rows() {
#define TESSERA_SYMBOL(symbol, name, since, streams) \
  Row{name, since, streams, reinterpret_cast<void*>(&::symbol)},
  static const std::array rows = {
#include "sim/cuda/symbols.def"
  };
#undef TESSERA_SYMBOL
  return rows;
}

}  // namespace

FoundSymbol FindSymbol(std::string_view name, int cuda_version, bool per_thread) {
  // A function with a per-thread flavour has no other one for those who ask for it.
  const auto& rows = Rows();
  const bool flavoured = per_thread && std::any_of(rows.begin(), rows.end(), [&](const Row& row) {
                           return row.name == name && row.streams == kPerThread;
                         });
  const Row* best = nullptr;
  bool known = false;
  for (const Row& row : rows) {
    if (row.name != name || row.since > DriverVersion()) continue;
    if ((row.streams == kPerThread) != flavoured) continue;
    known = true;
    if (row.since > cuda_version) continue;
    if (best == nullptr || row.since > best->since) best = &row;
  }
  if (best != nullptr) return {best->function, CU_GET_PROC_ADDRESS_SUCCESS};
  return {nullptr, known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                         : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND};
}

namespace {

/// CUDA_SUCCESS also where nothing was found: `status` tells.
CUresult GetProcAddress(const char* symbol, void** function, int cuda_version, cuuint64_t flags,
                        CUdriverProcAddressQueryResult* status) {
  constexpr cuuint64_t kBoth =
      CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
  if (symbol == nullptr || function == nullptr || flags > kBoth || cuda_version > DriverVersion()) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const bool per_thread = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
  const FoundSymbol found = FindSymbol(symbol, cuda_version, per_thread);
  *function = found.function;
  if (status != nullptr) *status = found.status;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace tessera::sim::cuda

extern "C" {

CUresult cuGetProcAddress(const char* symbol, void** function, int cuda_version, cuuint64_t flags) {
  const CUresult result =
      tessera::sim::cuda::GetProcAddress(symbol, function, cuda_version, flags, nullptr);
  return result == CUDA_SUCCESS && *function == nullptr ? CUDA_ERROR_NOT_FOUND : result;
}

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int cuda_version,
                             cuuint64_t flags, CUdriverProcAddressQueryResult* status) {
  return tessera::sim::cuda::GetProcAddress(symbol, function, cuda_version, flags, status);
}

}  // extern "C"
