#include "interceptor/hook_table.h"

#include "common/abi/cuda_green.h"
#include "common/abi/cuda_legacy.h"
#include "common/abi/cuda_more.h"
#include "common/abi/cuda_share.h"
#include "common/abi/nvml.h"

namespace tessera {
namespace {

enum class Stream { Legacy, PerThread };

/// Which names may be hooked: a bit for the hash of each.
class NameFilter {
 public:
  constexpr NameFilter() {
#define TESSERA_HOOK(symbol, base, since, stream) Add(#symbol), Add(base);
#define TESSERA_NVML_HOOK(symbol) Add(#symbol);
#include "interceptor/hooks.def"
  }
  /// False only if no row has that name.
  constexpr bool MayHave(std::string_view name) const {
    const unsigned hash = Hash(name);
    return (bits_[hash / 64] >> (hash % 64) & 1) != 0;
  }

 private:
  static constexpr unsigned kBits = 8192;

  static constexpr unsigned Hash(std::string_view name) {
    std::uint64_t hash = name.size();
    for (const char c : name) hash = hash * 31 + static_cast<unsigned char>(c);
    return static_cast<unsigned>((hash * 0x9e37'79b9'7f4a'7c15) >> 51);
  }
  constexpr void Add(std::string_view name) {
    const unsigned hash = Hash(name);
    bits_[hash / 64] |= std::uint64_t{1} << (hash % 64);
  }

  std::uint64_t bits_[kBits / 64] = {};
};
constexpr NameFilter kHooked;

void* Newest(std::string_view name, int cuda_version, Stream stream) {
  void* found = nullptr;
  int newest = 0;
#define TESSERA_HOOK(symbol, base, since, flavour)                                            \
  if (stream == Stream::flavour && since <= cuda_version && since > newest && name == base) { \
    found = reinterpret_cast<void*>(&::symbol);                                               \
    newest = since;                                                                           \
  }
#define TESSERA_ALIAS TESSERA_HOOK
#include "interceptor/hooks.def"
  return found;
}

}  // namespace

bool MayBeHooked(std::string_view name) { return kHooked.MayHave(name); }

void* FindHook(std::string_view symbol) {
  if (!kHooked.MayHave(symbol)) return nullptr;
#define TESSERA_HOOK(name, base, since, stream) \
  if (symbol == #name) return reinterpret_cast<void*>(&::name);
#define TESSERA_NVML_HOOK(name) \
  if (symbol == #name) return reinterpret_cast<void*>(&::name);
#include "interceptor/hooks.def"
  return nullptr;
}

void* FindHookFor(std::string_view name, int cuda_version, cuuint64_t flags) {
  if (!kHooked.MayHave(name)) return nullptr;
  if ((flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0) {
    if (void* hook = Newest(name, cuda_version, Stream::PerThread)) return hook;
  }
  return Newest(name, cuda_version, Stream::Legacy);
}

}  // namespace tessera
