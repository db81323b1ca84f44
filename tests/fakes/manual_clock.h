#pragma once

#include <mutex>

#include "common/base/clock.h"

namespace tessera {

/// A clock that moves only when the test says so. Thread-safe.
class ManualClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point Now() const override {
    const std::lock_guard lock(mu_);
    return std::chrono::steady_clock::time_point(elapsed_);
  }
  std::chrono::system_clock::time_point WallNow() const override {
    const std::lock_guard lock(mu_);
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(elapsed_));
  }
  void Advance(std::chrono::nanoseconds by) {
    const std::lock_guard lock(mu_);
    elapsed_ += by;
  }

 private:
  mutable std::mutex mu_;
  std::chrono::nanoseconds elapsed_{std::chrono::hours(24 * 365)};
};

}  // namespace tessera
