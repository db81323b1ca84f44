#pragma once

#include <chrono>
#include <memory>
#include <mutex>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "extender/cache.h"

namespace tessera::extender {

/// kube-scheduler tries a pod again as soon as it sees a change, and our own watch may tell of that
/// change some milliseconds later. A pod that is rejected in between waits for the next change of
/// the cluster, or five minutes. So before a pod is told that nothing fits, the cache is given a
/// moment to catch up. kube-scheduler filters one pod at a time, so moments are few: kPerSecond, of
/// which each is kMoment long at most. Thread-safe.
class SecondLook {
 public:
  static constexpr std::chrono::milliseconds kMoment{30};
  static constexpr double kPerSecond = 4;

  /// Both must outlive this.
  SecondLook(Cache& cache, const Clock& clock) : cache_(cache), clock_(clock) {}

  /// True if the cache says something else than `seen` by now; waits for that.
  bool Wait(const std::shared_ptr<const Snapshot>& seen);

 private:
  bool Take();

  Cache& cache_;
  const Clock& clock_;
  std::mutex mu_;
  double left_ TESSERA_GUARDED_BY(mu_) = kPerSecond;
  std::chrono::steady_clock::time_point filled_ TESSERA_GUARDED_BY(mu_){};
};

}  // namespace tessera::extender
