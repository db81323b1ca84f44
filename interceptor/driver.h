#pragma once

#include <atomic>

#include "common/abi/cuda_green.h"
#include "common/abi/cuda_legacy.h"
#include "common/abi/cuda_more.h"
#include "common/abi/cuda_share.h"
#include "common/abi/nvml.h"

namespace tessera {

template <typename... Args>
CUresult Missing(Args...) {
  return CUDA_ERROR_NOT_FOUND;
}
template <typename... Args>
nvmlReturn_t MissingNvml(Args...) {
  return NVML_ERROR_FUNCTION_NOT_FOUND;
}

/// The real driver's functions, typed by the compiler. A function that the driver lacks answers
/// CUDA_ERROR_NOT_FOUND (NVML_ERROR_FUNCTION_NOT_FOUND); no pointer is null.
struct Driver {
#define TESSERA_HOOK(symbol, base, since, stream) decltype(&::symbol) symbol = Missing;
#define TESSERA_CALL(symbol) decltype(&::symbol) symbol = Missing;
#include "interceptor/hooks.def"
};

struct Nvml {
#define TESSERA_NVML_HOOK(symbol) decltype(&::symbol) symbol = MissingNvml;
#define TESSERA_NVML_CALL(symbol) decltype(&::symbol) symbol = MissingNvml;
#include "interceptor/hooks.def"
};

namespace driver_state {
/// In one cache line with the first functions of the table, which are those that most calls need.
struct alignas(64) Next {
  std::atomic<bool> loaded = false;
  Driver functions;
};
[[gnu::visibility("hidden")]] extern constinit Next next;
[[gnu::visibility("hidden")]] extern constinit Driver itself;
[[gnu::cold]] void Load();
}  // namespace driver_state

/// What our hooks pass on to: each function is the next one after ours in the process's search
/// order, so that another preloaded tool stays in the chain. Opens libcuda.so.1 at the first call
/// and never closes it. Thread-safe.
inline const Driver& Real() {
  if (!driver_state::next.loaded.load(std::memory_order_acquire)) [[unlikely]]
    driver_state::Load();
  return driver_state::next.functions;
}
/// The driver's own functions, past any other tool: for a call that comes back to us from within
/// one of ours.
inline const Driver& DriverItself() {
  Real();
  return driver_state::itself;
}
/// Real() without looking. REQUIRES: this thread has called Real() before.
inline const Driver& RealLoaded() { return driver_state::next.functions; }
/// Does no other tool stand between us and the driver?
bool DriverIsNext();
/// The same of libnvidia-ml.so.1.
const Nvml& RealNvml();

using DlsymFunction = void* (*)(void* handle, const char* name);
/// libc's own dlsym.
DlsymFunction RealDlsym();

}  // namespace tessera
