#pragma once

#include <string_view>
#include <vector>

#include "binpack/types.h"
#include "common/base/result.h"

namespace tessera::contract {

/// What one container is held to (EncodeLimits, assignment.h).
struct Limits {
  binpack::ComputePolicy policy = binpack::ComputePolicy::kFixedShare;
  std::vector<binpack::DeviceShare> devices{};

  bool operator==(const Limits&) const = default;
};

/// Reads the limits text. Takes what libtessera.so takes, and nothing else: it has a reader of its
/// own, which can neither allocate nor throw, and a test compares the two. Errors
/// (kInvalidArgument) name the device.
Result<Limits> DecodeLimits(std::string_view text);

}  // namespace tessera::contract
