#pragma once

#include <cstddef>
#include <string_view>

#include "common/abi/cuda.h"
#include "interceptor/region/layout.h"
#include "interceptor/region/map.h"

namespace tessera {

/// What this container may use.
struct Limits {
  region::Policy policy = region::Policy::kFixedShare;
  std::size_t count = 0;
  region::DeviceConfig devices[region::kMaxDevices] = {};
};

/// Reads "v1 <policy> <uuid>:<memory MiB>:<cores percent>[:<host memory MiB>] ...", single spaces,
/// one newline at the end allowed. Memory 1 to 2^30 MiB of either kind, cores 0 to 100 (0: no share
/// was asked for), at least one device, no uuid twice. Without the last number a device's programs
/// get no host memory in place of the device's. Null on success, else what is wrong (constant text)
/// and `limits` is unspecified. Pure, no allocation.
const char* ParseLimits(std::string_view text, Limits& limits);

/// Do both name the same GPUs in the same order? Regions and device indexes stand on that order.
bool SameDevices(const Limits& a, const Limits& b);

/// Is that text ("GPU-8f2c…", "MIG-…", upper or lower case) this driver uuid? A text that is not 32
/// hex digits after its prefix matches nothing.
bool UuidMatches(std::string_view text, const CUuuid& uuid);

/// Do two texts name the same device? Case does not matter.
bool SameUuidText(std::string_view a, std::string_view b);

}  // namespace tessera
