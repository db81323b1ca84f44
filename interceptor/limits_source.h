#pragma once

#include "interceptor/limits.h"

namespace tessera {

/// Finds the limits text and parses it: the file names::kLimitsPath if its folder exists, else the
/// file that TESSERA_LIMITS_FILE names, else TESSERA_LIMITS itself. The first source that exists
/// decides: if it is unreadable or malformed, no other one is asked. Null on success, else the
/// reason (constant text).
const char* LoadLimits(Limits& limits);

/// names::kRegionDir if it exists, else TESSERA_REGION_DIR, else null.
const char* FindRegionDirectory();

}  // namespace tessera
