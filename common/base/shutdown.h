#pragma once

#include <chrono>

namespace tessera {

/// SIGTERM and SIGINT as an event that a main function can wait for.
///
/// Make one first thing in main, before any thread starts: it blocks the two signals in the calling
/// thread, and threads started later inherit that. SIGPIPE is ignored from then on. One per
/// process.
class ShutdownSignal {
 public:
  ShutdownSignal();
  /// Blocks until a signal arrives; returns its number. One thread only.
  int Wait();
  /// Like Wait, but gives up after `timeout` and returns 0 then.
  int WaitFor(std::chrono::milliseconds timeout);
};

}  // namespace tessera
