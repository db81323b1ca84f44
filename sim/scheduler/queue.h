#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace tessera::sim {

/// Which pod is tried next: kube-scheduler's three queues in small.
///
///   Add ──▶ active ──Pop──▶ (being tried) ──Bound/Delete──▶ gone
///             ▲  ▲               │
///             │  └─ back-off ◀───┤ Failed(error), or an event came meanwhile
///             └──── on event ◀───┴ Failed(unschedulable) ──▶ waiting for a cluster event
///
/// Back-off: 1 s after the first failure, doubling to 10 s, counted from the failure. The time is
/// an argument, so there is no clock inside. One thread only.
class SchedulingQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Nothing happens if the pod is known.
  void Add(const std::string& pod);
  void Delete(const std::string& pod);
  /// The next pod to try, if any is due.
  std::optional<std::string> Pop(Time now);
  enum class Why { kUnschedulable, kError };
  void Failed(const std::string& pod, Why why, Time now);
  /// Something changed in the cluster that may help the waiting pods.
  void OnClusterEvent();
  /// When Pop may have something: a back-off's end. None: only after Add or an event.
  std::optional<Time> NextDue() const;

 private:
  enum class Place { kActive, kTried, kBackOff, kWaiting };
  struct Entry {
    Place place = Place::kActive;
    int failures = 0;
    Time due{};                   ///< end of the back-off
    std::uint64_t popped_at = 0;  ///< number of events when it was popped
  };
  std::map<std::string, Entry> entries_;
  std::deque<std::string> active_;
  std::uint64_t events_ = 0;
};

}  // namespace tessera::sim
