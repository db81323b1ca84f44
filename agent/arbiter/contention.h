#pragma once

#include <cstdint>
#include <span>

#include "agent/arbiter/mode.h"
#include "agent/arbiter/tenant.h"

namespace tessera::agent {

/// Whether a GPU's tenants need windows: told by who wants it, who presses (mode.h), and whether
/// the hardware's slices would serve as well (slicing.h). Pure. Thread-compatible.
class Contention {
 public:
  /// REQUIRES: `tenants` are as they were seen at `now_ns`, which never goes back.
  void Judge(std::uint64_t now_ns, std::span<Tenant* const> tenants);

  ArbiterMode mode() const { return chooser_.mode(); }
  /// Gates are open although somebody never rests, and have to be watched closely.
  bool IsSliced() const { return sliced_ && mode() == ArbiterMode::kRounds; }

 private:
  ModeChooser chooser_;
  bool sliced_ = false;           ///< slices serve, as it was decided last
  std::uint64_t pressed_ns_ = 0;  ///< somebody pressed last, or there were windows
};

}  // namespace tessera::agent
