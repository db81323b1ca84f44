#include "agent/arbiter/pressure.h"

#include <algorithm>
#include <cmath>

namespace tessera::agent {
namespace {

/// A judgement is about so much time at the least. It comes when use was counted, which for long
/// kernels is seldom.
constexpr std::uint64_t kPeriodNs = 100'000'000;
constexpr std::uint64_t kLongestPeriodNs = 400'000'000;
/// A pause of ours tells nothing.
constexpr std::uint64_t kBreakNs = 100'000'000;
/// Programs that are full of launches of a few microseconds count up to 60 percent.
constexpr std::uint64_t kPressesPercent = 85;
constexpr std::uint64_t kStillPressesPercent = 75;
constexpr std::uint64_t kHeldPercent = 10;
/// What was seen so long ago counts 1/e.
constexpr double kFadeNs = 0.5e9;
/// So long work that is under way is believed to be work. What runs for longer was let through in
/// one piece, and no window holds it.
constexpr std::uint64_t kMostEndlessNs = 10'000'000'000;

}  // namespace

bool Pressure::Take(const Look& look) {
  const std::uint64_t elapsed = look.now_ns - last_ns_;
  const bool gap = !begun_ || elapsed > kBreakNs || look.used_ns < last_used_ns_;
  if (gap || !look.counted) {
    Restart(look);
    begun_ = look.counted;
    return presses_;
  }
  const bool moved = look.used_ns != last_used_ns_;
  last_ns_ = look.now_ns;
  last_used_ns_ = look.used_ns;
  longest_ns_ = std::max(longest_ns_, elapsed);
  if (!look.waiting) free_ns_ += elapsed;
  if (look.held) held_ns_ += elapsed;
  if (look.running) ran_ns_ += elapsed;
  always_ran_ = always_ran_ && look.running;
  const bool long_enough = look.now_ns - base_.now_ns >= kPeriodNs;
  if ((moved && long_enough) || free_ns_ >= kLongestPeriodNs) Judge(look);
  return presses_;
}

/// Where use was counted, so was the time that it waited before.
void Pressure::Judge(const Look& look) {
  const std::uint64_t passed = look.now_ns - base_.now_ns;
  // Exact, but the sum of all its processes: where it is more than looks saw of the whole, which
  // are coarse, some of them waited side by side, or beside one that ran.
  const std::uint64_t told = look.throttled_ns - std::min(base_.throttled_ns, look.throttled_ns);
  const std::uint64_t seen = passed - free_ns_;
  const std::uint64_t throttled = told <= seen + 2 * longest_ns_ ? told : seen;
  const std::uint64_t used = look.used_ns - base_.used_ns;
  const std::uint64_t free = passed > throttled ? passed - throttled : 0;
  Remember(used, passed);
  // Work that is under way is counted when it has ended.
  endless_ns_ = used == 0 && always_ran_ ? endless_ns_ + passed : 0;
  const bool endless = endless_ns_ != 0 && endless_ns_ <= kMostEndlessNs;
  const std::uint64_t enough = presses_ ? kStillPressesPercent : kPressesPercent;
  const bool busy = endless || (used > 0 && used >= free / 100 * enough);
  const bool held = held_ns_ >= passed / 100 * kHeldPercent;
  presses_ = busy && (look.full || held);
  Restart(look);
}

void Pressure::Remember(std::uint64_t used_ns, std::uint64_t passed_ns) {
  const auto passed = static_cast<double>(passed_ns);
  const double fades = 1 - std::exp(-passed / kFadeNs);
  const auto part = [&](std::uint64_t ns) {
    return std::min(static_cast<double>(ns) / passed, 1.0);
  };
  known_ += fades * (1 - known_);
  counted_part_ += fades * (part(used_ns) - counted_part_);
  ran_part_ += fades * (part(ran_ns_) - ran_part_);
}

std::uint32_t Pressure::occupies_permille() const {
  if (known_ == 0) return 1000;
  return static_cast<std::uint32_t>(1000 * std::max(counted_part_, ran_part_) / known_);
}

void Pressure::Restart(const Look& look) {
  last_ns_ = look.now_ns;
  last_used_ns_ = look.used_ns;
  base_ = look;
  free_ns_ = 0;
  held_ns_ = 0;
  ran_ns_ = 0;
  longest_ns_ = 0;
  always_ran_ = true;
}

}  // namespace tessera::agent
