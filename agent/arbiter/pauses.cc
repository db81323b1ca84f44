#include "agent/arbiter/pauses.h"

#include <algorithm>

namespace tessera::agent {
namespace {

/// Shorter ones are not worth two hand-overs, of some 0.5 ms each.
constexpr std::uint64_t kLongNs = 3'000'000;
constexpr unsigned kHabit = 3;
/// Who pauses for longer than this is no longer waited for.
constexpr std::uint64_t kForgetNs = 100'000'000;

}  // namespace

void Pauses::Begin(std::uint64_t since_ns) { since_ns_ = since_ns; }

void Pauses::End(std::uint64_t now_ns) {
  if (since_ns_ == 0) return;
  long_ones_ = now_ns - since_ns_ >= kLongNs ? std::min(long_ones_ + 1, kHabit) : 0;
  since_ns_ = 0;
  woke_ = true;
}

bool Pauses::AreLong() const { return long_ones_ == kHabit; }

bool Pauses::MayEndSoon(std::uint64_t now_ns) const {
  return since_ns_ != 0 && now_ns - since_ns_ < kForgetNs;
}

}  // namespace tessera::agent
