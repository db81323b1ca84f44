#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/result.h"

namespace tessera::contract {

/// Amounts as people write them. Kubernetes' quantity grammar: digits with an optional fraction,
/// then a binary suffix (Ki Mi Gi Ti Pi Ei), a decimal one (n u m k M G T P E) or an exponent (e3,
/// E-2). Exact integers throughout: no floating point. Errors (kInvalidArgument) quote the text:
/// "\"3 apples\" is not a quantity".

/// A count. The value must be whole: "3", "3k", "3000m", "3e3" are, "500m" and "0.5" are not.
Result<std::int64_t> ParseWhole(std::string_view text);

/// A count of MiB (or of GiB, `unit`), as our extended resources have it. Refuses a binary suffix:
/// whoever writes "2Gi" means bytes, and would ask for two thousand million MiB.
Result<std::int64_t> ParseMemoryCount(std::string_view text, std::string_view unit);

/// An amount in thousandths, rounded up, as CPU is counted: "500m" is 500, "1.5" is 1500.
Result<std::int64_t> ParseMilli(std::string_view text);

/// A quantity of bytes in MiB, rounded up. At least one MiB: "3000" (bytes) and "3000m" are
/// refused.
Result<std::int64_t> ParseBytesAsMib(std::string_view text);

}  // namespace tessera::contract
