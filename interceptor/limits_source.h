#pragma once

#include <limits.h>

#include <cstdint>

#include "interceptor/limits.h"

namespace tessera {

/// Which content a file has: other content, written in place or renamed over it, has another stamp.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;  ///< 0: of no file
  std::int64_t size = 0;
  std::int64_t changed_ns = 0;   ///< ctime
  std::int64_t modified_ns = 0;  ///< mtime
  bool operator==(const FileStamp&) const = default;
};

/// Where limits were read, to look there again. Thread-compatible.
struct LimitsSource {
  char path[PATH_MAX] = {};  ///< empty: not a file, so they never change
  FileStamp stamp;           ///< of what was read last
};

/// Finds the limits text and parses it: the file names::kLimitsPath if its folder exists, else the
/// file that TESSERA_LIMITS_FILE names, else TESSERA_LIMITS itself. The first source that exists
/// decides: if it is unreadable or malformed, no other one is asked. Null on success, else the
/// reason (constant text).
const char* LoadLimits(Limits& limits, LimitsSource& source);

/// Looks whether the file holds something new, and reads it if so: one system call if not. False,
/// and nothing done, if it does not, is gone, or there is no file. `problem` is null if `limits`
/// are valid, else why they are not (constant text); the same bad content is told once. Asks no
/// environment. REQUIRES: LoadLimits succeeded with `source`.
bool ReloadLimits(LimitsSource& source, Limits& limits, const char*& problem);

/// names::kRegionDir if it exists, else TESSERA_REGION_DIR, else null.
const char* FindRegionDirectory();

}  // namespace tessera
