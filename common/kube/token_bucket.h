#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>

#include "common/base/thread_annotations.h"

namespace tessera::kube {

/// Lets `burst` requests pass at once and `qps` per second after that. Thread-safe; does not wait
/// itself.
class TokenBucket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  /// `qps` <= 0: no limit.
  TokenBucket(double qps, int burst) : qps_(qps), burst_(std::max(burst, 1)), tokens_(burst_) {}

  /// Takes a token and returns how long to wait before using it; callers are served in order.
  std::chrono::nanoseconds Take(TimePoint now) {
    if (qps_ <= 0) return {};
    const std::lock_guard lock(mu_);
    if (now > filled_) {
      const double seconds = std::chrono::duration<double>(now - filled_).count();
      tokens_ = filled_ == TimePoint{} ? burst_ : std::min(burst_, tokens_ + seconds * qps_);
      filled_ = now;
    }
    tokens_ -= 1;
    if (tokens_ >= 0) return {};
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(-tokens_ / qps_));
  }

 private:
  const double qps_;
  const double burst_;
  std::mutex mu_;
  double tokens_ TESSERA_GUARDED_BY(mu_);  ///< negative: promised, not there yet
  TimePoint filled_ TESSERA_GUARDED_BY(mu_){};
};

}  // namespace tessera::kube
