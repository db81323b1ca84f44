#include "interceptor/region/pace.h"

#include <algorithm>

namespace tessera::region {
namespace {

/// A time further ahead than any process can have written it.
bool IsScribbled(std::uint64_t time_ns, std::uint64_t now_ns) {
  return time_ns > now_ns + kMostDebtNs;
}

/// What `paid` means: a container starts with the credit of one turn.
std::uint64_t PaidUntil(std::uint64_t paid, std::uint32_t percent, std::uint64_t now_ns) {
  const std::uint64_t pause = PauseNs(percent);
  const std::uint64_t most = pause + kBurstNs;
  const std::uint64_t earliest = now_ns > most ? now_ns - most : 1;
  if (paid == 0 || IsScribbled(paid, now_ns)) return now_ns > pause ? now_ns - pause : 1;
  return std::max(paid, earliest);
}

/// Takes what nobody has counted yet of the interval; returns where that begins, `to_ns` if
/// nowhere.
std::uint64_t TakeInterval(Word& counted_until, std::uint64_t from_ns, std::uint64_t to_ns) {
  std::uint64_t counted = counted_until.load(std::memory_order_relaxed);
  while (true) {
    const std::uint64_t before = IsScribbled(counted, to_ns) ? 0 : counted;
    if (before >= to_ns) return to_ns;
    if (counted_until.compare_exchange_weak(counted, to_ns)) return std::max(from_ns, before);
  }
}

}  // namespace

std::int64_t CreditNs(const Pace& pace, std::uint32_t percent, std::uint64_t now_ns) {
  const std::uint64_t paid =
      PaidUntil(pace.paid_until_ns.load(std::memory_order_relaxed), percent, now_ns);
  return static_cast<std::int64_t>(now_ns) - static_cast<std::int64_t>(paid);
}

void CountUse(Pace& pace, std::uint32_t percent, std::uint64_t from_ns, std::uint64_t to_ns,
              std::uint64_t permille) {
  if (from_ns >= to_ns) return;
  const std::uint64_t begin = TakeInterval(pace.counted_until_ns, from_ns, to_ns);
  if (begin >= to_ns) return;
  const std::uint64_t used = std::min(to_ns - begin, kMostDebtNs) * permille / 1000;
  pace.used_ns.fetch_add(used, std::memory_order_relaxed);
  if (percent == 0 || percent >= 100) return;
  std::uint64_t paid = pace.paid_until_ns.load(std::memory_order_relaxed);
  std::uint64_t next;
  do {
    const std::uint64_t price = used * 100 / percent;
    next = std::min(PaidUntil(paid, percent, begin) + price, to_ns + kMostDebtNs);
  } while (!pace.paid_until_ns.compare_exchange_weak(paid, next));
}

}  // namespace tessera::region
