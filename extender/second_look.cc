#include "extender/second_look.h"

#include <algorithm>
#include <thread>

namespace tessera::extender {
namespace {

constexpr std::chrono::milliseconds kStep{2};

}  // namespace

bool SecondLook::Take() {
  const std::lock_guard lock(mu_);
  const auto now = clock_.Now();
  const double seconds = std::chrono::duration<double>(now - filled_).count();
  left_ = std::min(kPerSecond, left_ + seconds * kPerSecond);
  filled_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

bool SecondLook::Wait(const std::shared_ptr<const Snapshot>& seen) {
  if (cache_.UpdateSnapshot() != seen) return true;
  if (!Take()) return false;
  for (std::chrono::milliseconds waited{0}; waited < kMoment; waited += kStep) {
    std::this_thread::sleep_for(kStep);
    if (cache_.UpdateSnapshot() != seen) return true;
  }
  return false;
}

}  // namespace tessera::extender
