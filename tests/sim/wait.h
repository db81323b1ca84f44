#pragma once

#include <chrono>
#include <thread>

namespace tessera::sim {

/// Asks again and again; false if it did not become true before the deadline, which fails the test
/// that waits.
template <typename Done>
bool WaitUntil(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace tessera::sim
