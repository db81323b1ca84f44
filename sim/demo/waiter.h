#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/base/shutdown.h"

namespace tessera::sim {

/// Waits for conditions with a deadline; SIGINT and SIGTERM end every wait. One thread only.
class Waiter {
 public:
  explicit Waiter(ShutdownSignal& shutdown) : shutdown_(shutdown) {}

  /// Asks `done` again and again until it is true. Errors: kUnavailable "WHAT did not happen within
  /// 10 s", or the signal's name.
  Result<void> Until(const std::string& what, std::chrono::seconds limit,
                     const std::function<bool()>& done);
  /// Until a signal comes.
  void ForSignal();
  bool interrupted() const { return interrupted_; }

 private:
  ShutdownSignal& shutdown_;
  bool interrupted_ = false;
};

}  // namespace tessera::sim
