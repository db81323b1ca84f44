#include "interceptor/hook_table.h"

#include "common/abi/nvml.h"

namespace tessera {
namespace {

enum class Stream { Legacy, PerThread };

void* Newest(std::string_view name, int cuda_version, Stream stream) {
  void* found = nullptr;
  int newest = 0;
#define TESSERA_HOOK(symbol, base, since, flavour)                                            \
  if (stream == Stream::flavour && since <= cuda_version && since > newest && name == base) { \
    found = reinterpret_cast<void*>(&::symbol);                                               \
    newest = since;                                                                           \
  }
#include "interceptor/hooks.def"
  return found;
}

}  // namespace

void* FindHook(std::string_view symbol) {
  if (!symbol.starts_with("cu") && !symbol.starts_with("nvml")) return nullptr;
#define TESSERA_HOOK(name, base, since, stream) \
  if (symbol == #name) return reinterpret_cast<void*>(&::name);
#define TESSERA_NVML_HOOK(name) \
  if (symbol == #name) return reinterpret_cast<void*>(&::name);
#include "interceptor/hooks.def"
  return nullptr;
}

void* FindHookFor(std::string_view name, int cuda_version, cuuint64_t flags) {
  if ((flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0) {
    if (void* hook = Newest(name, cuda_version, Stream::PerThread)) return hook;
  }
  return Newest(name, cuda_version, Stream::Legacy);
}

}  // namespace tessera
