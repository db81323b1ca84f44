#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "sim/cuda/objects.h"

/// Host pages behind device memory that other processes may map: a memory file instead of pages of
/// our own. Thread-safe as mmap is; nothing here looks at what is queued on a device.
namespace tessera::sim::cuda {

inline constexpr std::uint64_t kPageBytes = 4096;

/// A memory file of this name and size, nothing of it written; -1 with errno.
int MakePages(const std::string& name, std::uint64_t bytes);
/// Does this descriptor, of this process or of another ("/proc/7/fd/3"), lead to a file of that
/// name?
bool IsPages(const std::string& descriptor_path, const std::string& name);

/// Puts the file's bytes from `offset` on in the place of the pages there; false: no memory.
/// REQUIRES: all three are multiples of a page.
bool BackByFile(CUdeviceptr base, std::uint64_t bytes, int fd, std::uint64_t offset);
/// Puts empty pages of this process's own there.
void BackByNothing(CUdeviceptr base, std::uint64_t bytes);

/// Maps the file's bytes [offset, offset + bytes), which may lie across pages; 0: no memory.
CUdeviceptr MapShared(int fd, std::uint64_t offset, std::uint64_t bytes);
/// Undoes MapShared.
void UnmapShared(CUdeviceptr base, std::uint64_t bytes);

}  // namespace tessera::sim::cuda
