#include "interceptor/busy_share.h"

#include <algorithm>

namespace tessera {
namespace {

/// What makes an answer late where nothing is under way: a lock of the driver.
constexpr double kLateNs = 2'000;
/// A driver that takes longer to say nothing than this is taken for one that has work.
constexpr double kMostAtOnceNs = 10'000;
/// The least is unlearned slowly, in case that it was a stroke of luck.
constexpr double kForgetNs = 10;
constexpr double kRememberNs = 20'000'000;
constexpr double kMostWeight = 0.25;

}  // namespace

bool BusyShare::Take(std::uint64_t waited_ns, std::uint64_t took_ns) {
  const auto took = static_cast<double>(took_ns);
  const bool least = at_once_ns_ == 0 || took < at_once_ns_;
  at_once_ns_ = least ? took : at_once_ns_ + kForgetNs;
  at_once_ns_ = std::min(at_once_ns_, kMostAtOnceNs);
  const bool busy = took > at_once_ns_ + kLateNs;
  const double weight = std::min(static_cast<double>(waited_ns) / kRememberNs, kMostWeight);
  busy_ += ((busy ? 1.0 : 0.0) - busy_) * weight;
  return busy;
}

std::uint32_t BusyShare::permille() const { return static_cast<std::uint32_t>(1000 * busy_); }

}  // namespace tessera
