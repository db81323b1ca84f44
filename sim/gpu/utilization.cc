#include "sim/gpu/utilization.h"

#include <algorithm>

namespace tessera::sim::gpu {
namespace {

constexpr std::uint64_t kLow = 0xffffffff;
/// What rounding down to nanoseconds may have cost a stretch: it was full all the same.
constexpr std::uint64_t kRoundingNs = 10'000;

/// Of the bucket of stretch `number`; 0 if it has another stretch's time.
std::uint64_t SpentIn(std::uint64_t bucket, std::uint64_t number) {
  return (bucket >> 32) == (number & kLow) ? bucket & kLow : 0;
}

void AddTo(std::atomic<std::uint64_t>& bucket, std::uint64_t number, std::uint64_t spent_ns) {
  std::uint64_t old = bucket.load();
  std::uint64_t sum = 0;
  do {
    if ((old >> 32) > (number & kLow)) return;  // older than all that is kept
    sum = std::min(SpentIn(old, number) + spent_ns, kUtilizationNs);
  } while (!bucket.compare_exchange_weak(old, ((number & kLow) << 32) | sum));
}

unsigned int PercentOf(std::uint64_t spent_ns) {
  const std::uint64_t spent = std::min(spent_ns + kRoundingNs, kUtilizationNs);
  return static_cast<unsigned int>(spent * 100 / kUtilizationNs);
}

}  // namespace

void AddUtilization(DeviceFile& file, std::uint64_t from_ns, std::uint64_t to_ns,
                    std::uint64_t spent_ns) {
  if (to_ns <= from_ns) return;
  const double rate = static_cast<double>(spent_ns) / static_cast<double>(to_ns - from_ns);
  const std::uint64_t kept_ns = kUtilizationBuckets * kUtilizationNs;
  for (std::uint64_t at = std::max(from_ns, to_ns - std::min(to_ns, kept_ns)); at < to_ns;) {
    const std::uint64_t number = at / kUtilizationNs;
    const std::uint64_t end = std::min(to_ns, (number + 1) * kUtilizationNs);
    const double part = rate * static_cast<double>(end - at);
    AddTo(file.utilization[number % kUtilizationBuckets], number, static_cast<std::uint64_t>(part));
    at = end;
  }
}

std::vector<UtilizationSample> UtilizationSamples(const DeviceFile& file, std::uint64_t now_ns) {
  const std::uint64_t end = (now_ns - std::min(now_ns, kSettleNs)) / kUtilizationNs;
  std::vector<UtilizationSample> samples;
  for (std::uint64_t n = end - std::min<std::uint64_t>(end, kUtilizationSamples); n < end; ++n) {
    const std::uint64_t spent = SpentIn(file.utilization[n % kUtilizationBuckets].load(), n);
    samples.push_back({.end_ns = (n + 1) * kUtilizationNs, .percent = PercentOf(spent)});
  }
  return samples;
}

}  // namespace tessera::sim::gpu
