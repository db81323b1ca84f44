#include "agent/arbiter/mode.h"

#include <algorithm>

namespace tessera::agent {

ArbiterMode ModeChooser::Choose(std::uint64_t now_ns, const Seen& seen) {
  mode_ = Next(now_ns, seen);
  return mode_;
}

ArbiterMode ModeChooser::Next(std::uint64_t now_ns, const Seen& seen) {
  if (!seen.has_shares || seen.lately < 2) return ArbiterMode::kFree;
  if (seen.contending < 2) return ArbiterMode::kRounds;
  if (seen.pressing) {
    pressed_ns_ = now_ns;
    if (mode_ == ArbiterMode::kWindows) return mode_;
    const bool relapse = calm_from_ns_ != 0 && now_ns - calm_from_ns_ < kRelapseNs;
    calm_ns_ = relapse ? std::min(2 * calm_ns_, kMostCalmNs) : kCalmNs;
    return ArbiterMode::kWindows;
  }
  if (mode_ != ArbiterMode::kWindows) return ArbiterMode::kRounds;
  if (now_ns - pressed_ns_ < calm_ns_) return mode_;
  calm_from_ns_ = now_ns;
  return ArbiterMode::kRounds;
}

}  // namespace tessera::agent
