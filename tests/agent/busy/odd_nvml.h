#pragma once

#include <atomic>

namespace tessera::agent {

enum class OddMode { kWell, kNotSupported, kOtherType, kHostile, kHangs };

/// The library's only variable, `odd`.
struct OddNvml {
  std::atomic<OddMode> mode{OddMode::kWell};
  std::atomic<int> calls{0};
  std::atomic<int> users{0};
};

}  // namespace tessera::agent
