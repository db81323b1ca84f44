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

bool BusyShare::FindsWork(std::uint64_t took_ns) {
  const auto took = static_cast<double>(took_ns);
  const bool least = at_once_ns_ == 0 || took < at_once_ns_;
  at_once_ns_ = least ? took : at_once_ns_ + kForgetNs;
  at_once_ns_ = std::min(at_once_ns_, kMostAtOnceNs);
  return took > at_once_ns_ + kLateNs;
}

BusyShare::Work BusyShare::Take(const Question& question) {
  const bool found = FindsWork(question.took_ns);
  const auto waited = static_cast<double>(question.waited_ns);
  const auto mean = static_cast<double>(question.mean_wait_ns);
  const double weight = std::min((mean == 0 ? waited : mean) / kRememberNs, kMostWeight);
  busy_ += ((found ? 1.0 : 0.0) - busy_) * weight;
  if (found) {
    const double remaining = static_cast<double>(question.took_ns) - at_once_ns_;
    remaining_ns_ += (remaining - remaining_ns_) * (remaining_ns_ == 0 ? 1 : weight);
  }
  double before = 0;
  if (mean == 0) {
    before = found ? waited : waited * busy_;
  } else if (found) {
    before = mean * PartOfWork();
  }
  return {.goes_on = found, .before_ns = static_cast<std::uint64_t>(before)};
}

/// What remains of a stretch of work of length L at random moments, where it is seen, is anything
/// between kLateNs and L. Of the stretch, kLaunchNs are no work of the GPU, and kLateNs were
/// missed. Where there are hardly any gaps a stretch is many kernels, and what remains of the few
/// that are queued tells nothing about its length.
double BusyShare::PartOfWork() const {
  const double length = std::max(2 * remaining_ns_ - kLateNs, 2 * kLaunchNs);
  const double worked = (length - kLaunchNs) / (length - kLateNs);
  const double gaps = std::min((1 - busy_) / kManyGaps, 1.0);
  return 1 - gaps * (1 - worked);
}

}  // namespace tessera
