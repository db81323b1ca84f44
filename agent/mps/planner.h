#pragma once

#include <chrono>
#include <optional>

namespace tessera::agent::mps {

/// Clients of one GPU's MPS daemon, on CUDA before 13.1.
inline constexpr int kMaxClients = 48;

/// What a GPU's daemon says of itself.
struct Observation {
  bool answers = false;
  int servers = 0;
  int clients = 0;
  bool fault = false;  ///< one of its servers is in state FAULT

  bool operator==(const Observation&) const = default;
};

enum class Action { kNone, kStart, kQuit };

/// What to do with a GPU's daemon now.
struct Plan {
  Action action = Action::kNone;
  bool open = false;     ///< containers may start as its clients
  bool offered = false;  ///< further pods may come

  bool operator==(const Plan&) const = default;
};

/// Decides for the daemon of one GPU, from whether pods want it and what it says:
///
///   wanted, does not answer    start; again after 2, 4, 8 … 60 s until it answers for kCalm
///   wanted, answers            open
///   wanted, fault              close; once the last client has gone, quit and start
///   not wanted                 close; after kLinger, once the last client has gone, quit
///   not known whether wanted   open or closed as it answers; start and stop nothing
///
/// Nobody is ever killed: a fault ends its clients by itself, and the others are none of ours.
/// Pure but for its memory. One thread only.
class Planner {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// A container that passed the gate just before it closed belongs to a pod that is known by then.
  static constexpr std::chrono::seconds kLinger{5};
  /// A daemon that was well for so long is started anew at once.
  static constexpr std::chrono::seconds kCalm{60};

  /// `wanted`: pods were given a part of the GPU; nothing: the pods are not listed yet.
  Plan Decide(std::optional<bool> wanted, const Observation& seen, Time now);

  /// Starts after the first, of a daemon that was wanted all the time.
  int restarts() const { return restarts_; }

 private:
  Plan Keep(const Observation& seen, Time now);
  Plan Revive(Time now);
  Plan Quarantine(const Observation& seen, Time now);
  Plan Retire(const Observation& seen, Time now);
  std::chrono::seconds Delay() const;

  bool started_ = false;  ///< by us, or it was there
  int failures_ = 0;      ///< in a row
  int restarts_ = 0;
  Time next_try_{};
  std::optional<Time> well_since_;
  std::optional<Time> unwanted_since_;
};

}  // namespace tessera::agent::mps
