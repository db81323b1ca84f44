#include <algorithm>

#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/free_bytes.h"
#include "interceptor/scope.h"

// Code and static data of modules are charged with what the device has less after loading them. The
// device is shared, so a large difference is looked at again: the smaller of two counts.

namespace tessera {
namespace {

constexpr std::uint64_t kLarge = std::uint64_t{16} << 20;

/// `load` asks the driver and leaves the handle in `*module`; `unload` takes it back.
template <typename Handle, typename Load, typename Unload>
CUresult LoadCharged(const HookScope& scope, const Handle* module, const Load& load,
                     const Unload& unload) {
  if (scope.nested() || module == nullptr || !session::Ready()) return load();
  const Place place = CurrentPlace();
  if (place.result != CUDA_SUCCESS) return load();
  std::uint64_t before = FreeBytes();
  CUresult result = load();
  if (result != CUDA_SUCCESS) return result;
  std::uint64_t bytes = Less(before, FreeBytes());
  if (bytes > kLarge) {
    const RelaxedCapture relaxed;
    unload();
    before = FreeBytes();
    result = load();
    if (result != CUDA_SUCCESS) return result;
    bytes = std::min(bytes, Less(before, FreeBytes()));
  }
  if (bytes == 0) return result;
  if (!session::TryReserve(place.device, bytes)) {
    unload();
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return Settle(ArrayLedger(), KeyOf(*module), MakeCharge(place, bytes), unload);
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuModuleLoad(CUmodule* module, const char* path) {
  const HookScope scope;
  return LoadCharged(
      scope, module, [&] { return scope.real().cuModuleLoad(module, path); },
      [&] { scope.real().cuModuleUnload(*module); });
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  const HookScope scope;
  return LoadCharged(
      scope, module, [&] { return scope.real().cuModuleLoadData(module, image); },
      [&] { scope.real().cuModuleUnload(*module); });
}

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned int count, int* options,
                            void** values) {
  const HookScope scope;
  return LoadCharged(
      scope, module,
      [&] { return scope.real().cuModuleLoadDataEx(module, image, count, options, values); },
      [&] { scope.real().cuModuleUnload(*module); });
}

CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  const HookScope scope;
  return LoadCharged(
      scope, module, [&] { return scope.real().cuModuleLoadFatBinary(module, image); },
      [&] { scope.real().cuModuleUnload(*module); });
}

CUresult cuModuleUnload(CUmodule module) {
  const HookScope scope;
  const auto unload = [&] { return scope.real().cuModuleUnload(module); };
  return scope.nested() ? unload() : FreeCharged(ArrayLedger(), KeyOf(module), unload);
}

CUresult cuLibraryLoadData(CUlibrary* library, const void* image, int* jit_options,
                           void** jit_values, unsigned int jit_count, int* options, void** values,
                           unsigned int count) {
  const HookScope scope;
  return LoadCharged(
      scope, library,
      [&] {
        return scope.real().cuLibraryLoadData(library, image, jit_options, jit_values, jit_count,
                                              options, values, count);
      },
      [&] { scope.real().cuLibraryUnload(*library); });
}

CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* path, int* jit_options,
                               void** jit_values, unsigned int jit_count, int* options,
                               void** values, unsigned int count) {
  const HookScope scope;
  return LoadCharged(
      scope, library,
      [&] {
        return scope.real().cuLibraryLoadFromFile(library, path, jit_options, jit_values, jit_count,
                                                  options, values, count);
      },
      [&] { scope.real().cuLibraryUnload(*library); });
}

CUresult cuLibraryUnload(CUlibrary library) {
  const HookScope scope;
  const auto unload = [&] { return scope.real().cuLibraryUnload(library); };
  return scope.nested() ? unload() : FreeCharged(ArrayLedger(), KeyOf(library), unload);
}
