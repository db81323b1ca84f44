#include "sim/demo/waiter.h"

namespace tessera::sim {
namespace {

constexpr std::chrono::milliseconds kLookEvery{15};

}  // namespace

Result<void> Waiter::Until(const std::string& what, std::chrono::seconds limit,
                           const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (interrupted_ || shutdown_.WaitFor(kLookEvery) != 0) {
      interrupted_ = true;
      return Fail(Errc::kUnavailable, "interrupted while waiting: " + what);
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Fail(Errc::kUnavailable,
                  what + ": not within " + std::to_string(limit.count()) + " s");
    }
  }
  return {};
}

void Waiter::ForSignal() {
  if (!interrupted_) shutdown_.Wait();
  interrupted_ = true;
}

}  // namespace tessera::sim
