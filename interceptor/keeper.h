#pragma once

#include <cstdint>

#include "interceptor/gate_state.h"
#include "interceptor/pacer.h"
#include "interceptor/session.h"

namespace tessera::gate {

/// The work of one GPU's thread: opens and closes the gate as the law and the pacer say, and tells
/// the agent what this process wants. Lives as long as its thread.
class Keeper {
 public:
  explicit Keeper(session::DeviceIndex device);

  /// Until the process ends.
  void Run();

 private:
  void Look();
  void Wait(std::uint32_t seen, std::uint64_t ns);
  void KeepOpen();
  void LeaveOpen();
  void Rest();
  void Pause();
  void Round();
  void Open();
  void CountThrottled();
  void Show(State state, std::uint64_t credits);
  void WakeWaiters();
  void SetWaiting(region::WaitsFor what);
  void SetRunning(bool on);
  std::uint64_t Launched() const;

  const session::DeviceIndex device_;
  Gate& gate_;
  region::Pace& pace_;
  Law law_;
  Pacer pacer_;
  Pacer::Step step_;
  bool resting_ = false;
  std::uint64_t paused_ns_ = 0;

  // While there is no law:
  bool free_ = false;
  std::uint64_t launched_ = 0;  ///< when it was looked last
  int still_looks_ = 0;         ///< looks in a row that saw no launch
};

/// How many Keepers are asking the driver.
[[gnu::visibility("hidden")]] extern constinit std::atomic<int> in_driver;

}  // namespace tessera::gate
