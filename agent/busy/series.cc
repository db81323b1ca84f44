#include "agent/busy/series.h"

#include <algorithm>
#include <utility>

namespace tessera::agent {
namespace {

constexpr std::uint64_t kSecondUs = 1'000'000;
constexpr std::uint64_t kSecondNs = 1'000'000'000;

/// Truncation takes half a percent on average; nothing and all are exact.
std::uint32_t Permille(unsigned int percent) {
  return percent == 0 || percent == 100 ? percent * 10 : percent * 10 + 5;
}

}  // namespace

std::uint64_t BusySeries::AskSince(std::uint64_t now_real_us) const {
  const std::uint64_t second_ago = now_real_us - std::min(now_real_us, kSecondUs);
  // A last sample in the future: the clock was set back.
  return last_real_us_ > now_real_us ? second_ago : std::max(last_real_us_, second_ago);
}

std::vector<BusySample> BusySeries::Take(std::span<const UtilizationSample> samples,
                                         const Moment& now) {
  std::vector<BusySample> taken;
  for (const UtilizationSample& sample : samples) {
    if (sample.real_us > now.real_us || sample.real_us == last_real_us_) continue;
    const std::uint64_t age_us = now.real_us - sample.real_us;
    if (age_us >= now.monotonic_ns / 1000) continue;
    const std::uint64_t to_ns = now.monotonic_ns - age_us * 1000;
    if (to_ns <= last_ns_) continue;
    const std::uint64_t from_ns = std::exchange(last_ns_, to_ns);
    last_real_us_ = sample.real_us;
    if (from_ns == 0 || to_ns - from_ns > kLongestNs || sample.percent > 100) continue;
    taken.push_back({.from_ns = from_ns, .to_ns = to_ns, .permille = Permille(sample.percent)});
  }
  recent_.insert(recent_.end(), taken.begin(), taken.end());
  while (!recent_.empty() && recent_.front().to_ns + kSecondNs <= now.monotonic_ns) {
    recent_.pop_front();
  }
  return taken;
}

std::optional<double> BusySeries::LastSecond(std::uint64_t now_ns) const {
  double busy = 0;
  double all = 0;
  for (const BusySample& sample : recent_) {
    if (sample.to_ns + kSecondNs <= now_ns) continue;
    const auto length = static_cast<double>(sample.to_ns - sample.from_ns);
    busy += length * sample.permille / 1000;
    all += length;
  }
  if (all <= 0) return std::nullopt;
  return busy / all;
}

}  // namespace tessera::agent
