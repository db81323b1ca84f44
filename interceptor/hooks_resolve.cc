#include <dlfcn.h>
#include <stdio.h>

#include "common/abi/cuda.h"
#include "interceptor/driver.h"
#include "interceptor/glibc.h"
#include "interceptor/hook_table.h"
#include "interceptor/scope.h"
#include "interceptor/session.h"

// The ways in that are not a direct call: cuInit, dlsym, cuGetProcAddress.

namespace tessera {
namespace {

/// The newest driver API that the table was compared with.
constexpr int kKnownVersion = 13000;

/// Is that a later variant of a function of ours, whose parameters may differ? The driver exports
/// it under a name with the next number.
bool IsLaterVariant(const char* base, const void* function) {
  void* const library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return false;
  bool later = false;
  for (unsigned int number = 2; number < 10 && !later; ++number) {
    for (const char* flavour : {"", "_ptsz", "_ptds"}) {
      char name[128];
      snprintf(name, sizeof(name), "%s_v%u%s", base, number, flavour);
      later = later || (FindHook(name) == nullptr && RealDlsym()(library, name) == function);
    }
  }
  dlerror();  // what we did not find is nobody else's business
  return later;
}

/// Our function in the place of the one that the driver found, or null.
[[gnu::noinline]] void* HookInPlaceOf(const void* function, const char* symbol, int cuda_version,
                                      cuuint64_t flags) {
  void* hook = FindHookFor(symbol, cuda_version, flags);
  if (hook == nullptr) hook = FindHook(symbol);
  if (hook == nullptr) return nullptr;
  return cuda_version > kKnownVersion && IsLaterVariant(symbol, function) ? nullptr : hook;
}

/// The driver has checked the arguments, and its status stands.
CUresult Redirect(CUresult result, const char* symbol, void** function, int cuda_version,
                  cuuint64_t flags) {
  if (result != CUDA_SUCCESS || symbol == nullptr || function == nullptr || *function == nullptr) {
    return result;
  }
  if (!MayBeHooked(symbol)) [[likely]]
    return result;
  if (void* hook = HookInPlaceOf(*function, symbol, cuda_version, flags)) *function = hook;
  return result;
}

/// What a handle's library lacks stays lacking.
void* HookedSymbol(void* handle, const char* name, void* hook) {
  return RealDlsym()(handle, name) == nullptr ? nullptr : hook;
}

/// RTLD_NEXT and RTLD_DEFAULT follow the search order, in which we stand where we should already.
void* HookForHandle(void* handle, const char* name) {
  if (handle == RTLD_NEXT || handle == RTLD_DEFAULT || name == nullptr) return nullptr;
  return FindHook(name);
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuInit(unsigned int flags) {
  const HookScope scope;
  if (!scope.nested() && !session::Ready()) return CUDA_ERROR_NOT_PERMITTED;
  return scope.real().cuInit(flags);
}

CUresult cuGetProcAddress(const char* symbol, void** function, int cuda_version, cuuint64_t flags) {
  const HookScope scope;
  const CUresult result = scope.real().cuGetProcAddress(symbol, function, cuda_version, flags);
  return Redirect(result, symbol, function, cuda_version, flags);
}

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int cuda_version,
                             cuuint64_t flags, CUdriverProcAddressQueryResult* status) {
  const HookScope scope;
  const CUresult result =
      scope.real().cuGetProcAddress_v2(symbol, function, cuda_version, flags, status);
  return Redirect(result, symbol, function, cuda_version, flags);
}

/// libc learns from the return address who asks for RTLD_NEXT, so that call must be a jump: ours
/// leaves no frame, in debug builds too.
extern "C" [[gnu::optimize("O2")]] void* dlsym(void* handle, const char* name) noexcept {
  if (void* hook = HookForHandle(handle, name)) return HookedSymbol(handle, name, hook);
  return RealDlsym()(handle, name);
}
