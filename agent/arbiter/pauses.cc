#include "agent/arbiter/pauses.h"

#include <algorithm>
#include <utility>

namespace tessera::agent {
namespace {

/// Shorter ones are not worth two hand-overs, of some 0.5 ms each.
constexpr std::uint64_t kLongNs = 3'000'000;
/// Shorter breaks are part of one piece of work.
constexpr std::uint64_t kGapNs = 500'000;
/// Until its work begins, one that comes back waits some 3 ms for a window, some 1 ms for the
/// hardware, which then works on it for half of the time (H200: 3.2 and 1.4 ms for a kernel of
/// 0.1).
constexpr std::uint64_t kBriefNs = 2'500'000;
/// So long that is believed of one who has not come.
constexpr std::uint64_t kBelievedNs = 60'000'000'000;
/// What each of the others adds to that, where the hardware slices, and what looks add.
constexpr std::uint64_t kSliceNs = 2'000'000;
constexpr std::uint64_t kLateNs = 1'000'000;
constexpr std::uint64_t kNotWatchedNs = 10'000'000;
constexpr unsigned kHabit = 3;
/// Who pauses for longer than this is no longer waited for.
constexpr std::uint64_t kForgetNs = 100'000'000;

}  // namespace

void Pauses::Open(std::uint64_t now_ns) {
  work_from_ns_ = now_ns;
  quiet_since_ns_ = 0;
  woke_ = false;
}

void Pauses::Look(std::uint64_t now_ns, bool active) {
  if (active == (quiet_since_ns_ == 0)) return;
  if (!active) {
    quiet_since_ns_ = now_ns;
    return;
  }
  long_ones_ = 0;
  if (now_ns - quiet_since_ns_ >= kGapNs) {
    Worked(quiet_since_ns_);
    work_from_ns_ = now_ns;
  }
  quiet_since_ns_ = 0;
}

void Pauses::GiveUp() {
  Worked(quiet_since_ns_);
  away_since_ns_ = quiet_since_ns_;
}

/// Work that had just begun tells nothing.
void Pauses::CutShort(std::uint64_t now_ns) {
  if (quiet_since_ns_ == 0 && now_ns - work_from_ns_ > kBriefNs) brief_works_ = 0;
}

void Pauses::Worked(std::uint64_t until_ns) {
  brief_works_ = until_ns - work_from_ns_ <= kBriefNs ? std::min(brief_works_ + 1, kHabit) : 0;
  worked_ns_ = until_ns;
}

void Pauses::LookSliced(std::uint64_t now_ns, bool running, unsigned among) {
  const bool watched = now_ns - last_sliced_ns_ < kNotWatchedNs;
  last_sliced_ns_ = now_ns;
  const std::uint64_t began_ns = watched ? std::exchange(sliced_from_ns_, 0) : 0;
  if (running) sliced_from_ns_ = began_ns != 0 ? began_ns : now_ns;
  if (began_ns == 0) return;
  const std::uint64_t brief_ns = among * kBriefNs + (among - 1) * kSliceNs + kLateNs;
  if (now_ns - began_ns > brief_ns) {
    brief_works_ = 0;
  } else if (!running) {
    worked_ns_ = now_ns;
  }
}

void Pauses::Return(std::uint64_t now_ns) {
  if (away_since_ns_ == 0) return;
  long_ones_ = now_ns - away_since_ns_ >= kLongNs ? std::min(long_ones_ + 1, kHabit) : 0;
  away_since_ns_ = 0;
  woke_ = true;
}

bool Pauses::AreLong() const { return long_ones_ == kHabit; }

bool Pauses::WorkIsBrief(std::uint64_t now_ns) const {
  return brief_works_ == kHabit && now_ns - worked_ns_ < kBelievedNs;
}

bool Pauses::MayEndSoon(std::uint64_t now_ns) const {
  return away_since_ns_ != 0 && now_ns - away_since_ns_ < kForgetNs;
}

}  // namespace tessera::agent
