#include "agent/arbiter/pauses.h"

#include <algorithm>

namespace tessera::agent {
namespace {

/// Shorter ones are not worth two hand-overs, of some 0.5 ms each.
constexpr std::uint64_t kLongNs = 3'000'000;
/// Until its work begins, one that comes back waits some 3 ms for a window, some 1 ms for the
/// hardware, which then works on it for half of the time (H200: 3.2 and 1.4 ms for a kernel of
/// 0.1).
constexpr std::uint64_t kBriefNs = 2'500'000;
/// So long that is believed: it shows in windows alone, half a second of them.
constexpr std::uint64_t kBelievedNs = 60'000'000'000;
constexpr unsigned kHabit = 3;
/// Who pauses for longer than this is no longer waited for.
constexpr std::uint64_t kForgetNs = 100'000'000;

}  // namespace

void Pauses::Worked(std::uint64_t from_ns, std::uint64_t to_ns) {
  brief_works_ = to_ns - from_ns <= kBriefNs ? std::min(brief_works_ + 1, kHabit) : 0;
  worked_ns_ = to_ns;
}

void Pauses::CutShort(std::uint64_t from_ns, std::uint64_t to_ns) {
  if (to_ns - from_ns > kBriefNs) brief_works_ = 0;
}

void Pauses::Begin(std::uint64_t since_ns) { since_ns_ = since_ns; }

void Pauses::End(std::uint64_t now_ns) {
  if (since_ns_ == 0) return;
  long_ones_ = now_ns - since_ns_ >= kLongNs ? std::min(long_ones_ + 1, kHabit) : 0;
  since_ns_ = 0;
  woke_ = true;
}

bool Pauses::AreLong() const { return long_ones_ == kHabit; }

bool Pauses::WorkIsBrief(std::uint64_t now_ns) const {
  return brief_works_ == kHabit && now_ns - worked_ns_ < kBelievedNs;
}

bool Pauses::MayEndSoon(std::uint64_t now_ns) const {
  return since_ns_ != 0 && now_ns - since_ns_ < kForgetNs;
}

}  // namespace tessera::agent
