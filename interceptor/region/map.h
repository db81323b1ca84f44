#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "interceptor/region/layout.h"

namespace tessera::region {

/// What a container may use of one GPU.
struct DeviceConfig {
  char uuid[kUuidSize] = {};  ///< text, zero-terminated
  std::uint64_t limit_bytes = 0;
  std::uint32_t cores_percent = 0;
  /// Of host memory, where `limit_bytes` are used up; 0: none.
  std::uint64_t host_bytes = 0;
};

struct Mapping {
  Layout* file = nullptr;         ///< null: `problem` says why
  int fd = -1;                    ///< close-on-exec; holds the slot lock
  const char* problem = nullptr;  ///< constant text
  dev_t device = 0;               ///< of the file, to know `fd` again
  ino_t inode = 0;
};

/// Opens the region of `directory`, or makes it: complete under another name first, so that no
/// process ever sees half a file. Refuses a symbolic link, another size, version or list of
/// devices. No allocation.
Mapping MapRegion(const char* directory, std::span<const DeviceConfig> devices);

/// The mapping's descriptor; -1 if the program has closed it: the number may be another file's by
/// now.
int LockFd(const Mapping& mapping);

void Unmap(Mapping& mapping);

}  // namespace tessera::region
