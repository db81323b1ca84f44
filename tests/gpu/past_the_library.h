#pragma once

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

/// A library's own functions whatever dlsym says: read from its dynamic symbol table in memory, so
/// that a program under libtessera.so can call the driver with and without it.
namespace past_the_library {

/// One loaded library. Valid until it is unloaded; thread-compatible.
class Library {
 public:
  /// `handle` is dlopen's. Knows no function if the handle is bad or the library has no symbols.
  explicit Library(void* handle) {
    const link_map* map = nullptr;
    if (handle == nullptr || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) return;
    base_ = map->l_addr;
    dynamic_ = map->l_ld;
    dl_iterate_phdr(FindSegments, this);
    ReadDynamic();
  }

  /// Does the address lie in one of the library's segments?
  bool Holds(const void* address) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (std::size_t i = 0; segments_ != nullptr && i < segment_count_; ++i) {
      const ElfW(Phdr)& segment = segments_[i];
      if (segment.p_type != PT_LOAD) continue;
      if (at - (base_ + segment.p_vaddr) < segment.p_memsz) return true;
    }
    return false;
  }

  /// The function of that name that the library itself defines; null if it has none. A function
  /// that is chosen when it is loaded (STT_GNU_IFUNC) is none: its address is not in the table.
  void* Function(const char* name) const {
    for (std::size_t i = 0; i < symbol_count_; ++i) {
      const ElfW(Sym)& symbol = symbols_[i];
      const bool function =
          symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC;
      if (!function || std::strcmp(names_ + symbol.st_name, name) != 0) continue;
      return reinterpret_cast<void*>(base_ + symbol.st_value);
    }
    return nullptr;
  }

 private:
  static int FindSegments(dl_phdr_info* info, std::size_t, void* self) {
    Library& library = *static_cast<Library*>(self);
    for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
      const ElfW(Phdr)& segment = info->dlpi_phdr[i];
      const std::uintptr_t at = info->dlpi_addr + segment.p_vaddr;
      if (segment.p_type != PT_DYNAMIC || at != reinterpret_cast<std::uintptr_t>(library.dynamic_))
        continue;
      library.segments_ = info->dlpi_phdr;
      library.segment_count_ = info->dlpi_phnum;
      return 1;
    }
    return 0;
  }

  /// glibc has added the base to what stands here, other C libraries have not.
  template <typename T>
  const T* At(ElfW(Addr) address) const {
    return reinterpret_cast<const T*>(address < base_ ? base_ + address : address);
  }

  void ReadDynamic() {
    std::size_t count = 0;
    for (const ElfW(Dyn)* entry = dynamic_; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_SYMTAB) symbols_ = At<ElfW(Sym)>(entry->d_un.d_ptr);
      if (entry->d_tag == DT_STRTAB) names_ = At<char>(entry->d_un.d_ptr);
      // Buckets, chains, ...: there is a chain for each symbol.
      if (entry->d_tag == DT_HASH) count = At<std::uint32_t>(entry->d_un.d_ptr)[1];
      if (entry->d_tag == DT_GNU_HASH && count == 0) {
        count = CountByGnuHash(At<std::uint32_t>(entry->d_un.d_ptr));
      }
    }
    if (symbols_ != nullptr && names_ != nullptr) symbol_count_ = count;
  }

  /// The table says nowhere how many symbols there are. It is: bucket count, first hashed symbol,
  /// size of the filter, its shift; the filter; the buckets, each the first symbol of its chain; a
  /// hash for each hashed symbol, whose lowest bit ends the chain.
  static std::size_t CountByGnuHash(const std::uint32_t* table) {
    const std::uint32_t bucket_count = table[0];
    const std::uint32_t first = table[1];
    const std::uint32_t* const buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / 4);
    const std::uint32_t* const hashes = buckets + bucket_count;
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < bucket_count; ++i) last = buckets[i] > last ? buckets[i] : last;
    if (last < first) return first;
    while ((hashes[last - first] & 1) == 0) ++last;
    return last + 1;
  }

  std::uintptr_t base_ = 0;
  const ElfW(Dyn) * dynamic_ = nullptr;
  const ElfW(Phdr) * segments_ = nullptr;
  std::size_t segment_count_ = 0;
  const ElfW(Sym) * symbols_ = nullptr;
  const char* names_ = nullptr;
  std::size_t symbol_count_ = 0;
};

}  // namespace past_the_library
