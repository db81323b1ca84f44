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
constexpr double kRememberNs = 10'000'000;
constexpr double kMostWeight = 0.25;
/// From a launch until its kernel begins, and from its end until that is seen; 5 us on an H200.
constexpr double kLaunchNs = 4'000;
constexpr double kManyGaps = 0.2;

}  // namespace

bool BusyShare::Take(std::uint64_t mean_wait_ns, std::uint64_t took_ns) {
  const auto took = static_cast<double>(took_ns);
  const bool least = at_once_ns_ == 0 || took < at_once_ns_;
  at_once_ns_ = least ? took : at_once_ns_ + kForgetNs;
  at_once_ns_ = std::min(at_once_ns_, kMostAtOnceNs);
  const bool busy = took > at_once_ns_ + kLateNs;
  const double weight = std::min(static_cast<double>(mean_wait_ns) / kRememberNs, kMostWeight);
  busy_ += ((busy ? 1.0 : 0.0) - busy_) * weight;
  if (busy) {
    const double remaining = took - at_once_ns_;
    remaining_ns_ += (remaining - remaining_ns_) * (remaining_ns_ == 0 ? 1 : weight);
  }
  return busy;
}

std::uint32_t BusyShare::permille() const {
  // What remains of a stretch of work of length L at random moments, where it is seen, is anything
  // between kLateNs and L. Of the stretch, kLaunchNs are no work of the GPU, and kLateNs were
  // missed. Where there are hardly any gaps a stretch is many kernels, and what remains of the few
  // that are queued tells nothing about its length.
  const double length = std::max(2 * remaining_ns_ - kLateNs, 2 * kLaunchNs);
  const double worked = (length - kLaunchNs) / (length - kLateNs);
  const double gaps = std::min((1 - busy_) / kManyGaps, 1.0);
  return static_cast<std::uint32_t>(1000 * busy_ * (1 - gaps * (1 - worked)));
}

}  // namespace tessera
