#pragma once

#include <chrono>

#include "common/kube/retry.h"

namespace tessera::kube {

/// Waiting times that grow with each failure in a row: between half and all of min(max, base *
/// 2^n), so that a broken peer is never asked in a tight loop. One thread only.
class GrowingWait {
 public:
  explicit GrowingWait(const RetryPolicy& policy) : policy_(policy) {}
  /// `chance` in [0, 1].
  std::chrono::milliseconds Next(double chance) {
    return Backoff(policy_, failures_++, 0.5 + chance / 2);
  }
  void Reset() { failures_ = 0; }

 private:
  const RetryPolicy policy_;
  int failures_ = 0;
};

}  // namespace tessera::kube
