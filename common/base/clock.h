#pragma once

#include <chrono>

namespace tessera {

/// Where time comes from. Injected, so that tests tick it themselves. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// For intervals and deadlines; never goes back.
  virtual std::chrono::steady_clock::time_point Now() const = 0;
  /// For what people and other machines read.
  virtual std::chrono::system_clock::time_point WallNow() const = 0;
};

class SystemClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point Now() const override {
    return std::chrono::steady_clock::now();
  }
  std::chrono::system_clock::time_point WallNow() const override {
    return std::chrono::system_clock::now();
  }
};

}  // namespace tessera
