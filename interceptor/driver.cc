#include "interceptor/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include <atomic>

#include "interceptor/glibc.h"
#include "interceptor/hot.h"

namespace tessera {
namespace {

/// A function table and whether it is filled.
template <typename Table>
struct Lazy {
  Table table;
  std::atomic<bool> loaded = false;
  pthread_once_t once = PTHREAD_ONCE_INIT;

  const Table& Get(void (*load)()) {
    if (!loaded.load(std::memory_order_acquire)) pthread_once(&once, load);
    return table;
  }
};

constinit pthread_once_t driver_once = PTHREAD_ONCE_INIT;
constinit Lazy<Nvml> nvml;
constinit std::atomic<DlsymFunction> real_dlsym = nullptr;

void* NoDlsym(void*, const char*) { return nullptr; }

/// `library` may be null: RTLD_DEFAULT would find ours, so nothing is looked for then.
template <typename Function>
void Find(void* library, const char* name, Function& function) {
  void* const found = library == nullptr ? nullptr : RealDlsym()(library, name);
  if (found != nullptr) function = reinterpret_cast<Function>(found);
}

/// The library's own, unless another definition comes after ours.
template <typename Function>
void FindNext(void* library, const char* name, Function& function) {
  Find(library, name, function);
  Find(RTLD_NEXT, name, function);
}

/// What we did not find must not be what the program's next dlerror() tells.
void ForgetOurErrors() { dlerror(); }

void LoadDriver() {
  void* const library = dlopen("libcuda.so.1", RTLD_LAZY);
#define TESSERA_HOOK(symbol, base, since, stream) \
  Find(library, #symbol, driver_state::itself.symbol);
#define TESSERA_CALL(symbol) Find(library, #symbol, driver_state::itself.symbol);
#include "interceptor/hooks.def"
  Driver& next = driver_state::next.functions;
  next = driver_state::itself;
#define TESSERA_HOOK(symbol, base, since, stream) Find(RTLD_NEXT, #symbol, next.symbol);
#define TESSERA_CALL(symbol) Find(RTLD_NEXT, #symbol, next.symbol);
#include "interceptor/hooks.def"
  ForgetOurErrors();
  driver_state::next.loaded.store(true, std::memory_order_release);
}

void LoadNvml() {
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_LAZY);
#define TESSERA_NVML_HOOK(symbol) FindNext(library, #symbol, nvml.table.symbol);
#define TESSERA_NVML_CALL(symbol) FindNext(library, #symbol, nvml.table.symbol);
#include "interceptor/hooks.def"
  ForgetOurErrors();
  nvml.loaded.store(true, std::memory_order_release);
}

}  // namespace

namespace driver_state {
[[TESSERA_HOT]] constinit Next next;
constinit Driver itself;
void Load() { pthread_once(&driver_once, LoadDriver); }
}  // namespace driver_state

bool DriverIsNext() { return memcmp(&Real(), &DriverItself(), sizeof(Driver)) == 0; }

const Nvml& RealNvml() { return nvml.Get(LoadNvml); }

DlsymFunction RealDlsym() {
  DlsymFunction function = real_dlsym.load(std::memory_order_acquire);
  if (function != nullptr) return function;
  function = reinterpret_cast<DlsymFunction>(dlvsym(RTLD_NEXT, "dlsym", TESSERA_OLDEST_GLIBC));
  if (function == nullptr) function = NoDlsym;
  real_dlsym.store(function, std::memory_order_release);
  return function;
}

}  // namespace tessera
