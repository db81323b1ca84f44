#pragma once

#include <cstdint>

#include "interceptor/region/layout.h"

/// A share of a GPU's time, kept by all processes of a container together: what one of them has
/// used moves `paid_until_ns` on by used / share. Where that time lies ahead of the clock the
/// container owes, where it lies behind it has credit. Debt is never forgiven (up to a minute),
/// credit ends at a burst, so the share is exact in the long run whatever a kernel's length.
/// Lock-free; a process that is killed loses at most the interval that it was counting. What a
/// scribbler writes into a Pace holds no one up for longer than kMostDebtNs.
namespace tessera::region {

/// GPU time of one turn of a container that is never idle.
inline constexpr std::uint64_t kTurnNs = 20'000'000;
/// Credit that an idle container keeps beyond that of one turn: wall time.
inline constexpr std::uint64_t kBurstNs = 100'000'000;
inline constexpr std::uint64_t kMostDebtNs = 60'000'000'000;

/// How long a container waits between two turns: wall time. REQUIRES: 1 <= percent <= 99.
constexpr std::uint64_t PauseNs(std::uint32_t percent) {
  return kTurnNs * (100 - percent) / percent;
}

/// Wall time by which the container is ahead of (> 0) or behind its payments. At least
/// -kMostDebtNs, at most PauseNs + kBurstNs. REQUIRES: 1 <= percent <= 99.
std::int64_t CreditNs(const Pace& pace, std::uint32_t percent, std::uint64_t now_ns);

/// GPU time that may still be used, without a break from now on, until the credit is gone.
constexpr std::int64_t UsableNs(std::int64_t credit_ns, std::uint32_t percent) {
  return credit_ns * percent / (100 - percent);
}

/// The GPU was at work for the container from `from_ns` until `to_ns`, `permille` of the time: more
/// than 1000 is a guess that is right on average. What another process has counted already is not
/// counted twice. `percent` 0 or 100: no share to keep, it is only counted.
void CountUse(Pace& pace, std::uint32_t percent, std::uint64_t from_ns, std::uint64_t to_ns,
              std::uint64_t permille = 1000);

}  // namespace tessera::region
