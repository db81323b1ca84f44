#pragma once

#include <cstdint>

#include "interceptor/busy_share.h"
#include "interceptor/law.h"
#include "interceptor/region/pace.h"

namespace tessera {

/// What one process's gate does next. Pure: told what was seen and when, it says what to do; the
/// thread in gate_thread.cc does it.
///
///   kRest --a launch knocks--> kRound <--credit left--+
///     ^                           |  (ask the driver) |
///     |  nothing came             v                   |
///     +-----------------------  Synced ---------------+
///     |                           | no credit
///     |                           v
///     +-- may go on --- kPause <- kDrain
///
/// Credit is what the container's own share allows (region/pace.h) and what is left of the agent's
/// window (region/grant.h), whichever is less.
///
/// A round lets some launches through and asks the driver to say when those before it have ended,
/// so never much more than two rounds' worth of work is queued on the GPU, and what a turn takes
/// too much is small. It is owed and paid back by a longer pause. Thread-compatible.
class Pacer {
 public:
  struct Step {
    enum class Kind {
      kRest,   ///< nothing runs: wait for a launch, then Knocked
      kRound,  ///< let `credits` launches through, nap, ask the driver, then Synced
      kDrain,  ///< let nothing through, nap, ask the driver, then Synced
      kPause   ///< let nothing through until `until_ns`, then Paused
    };
    Kind kind = Kind::kRest;
    std::uint64_t credits = 1;  ///< kRest: for those who come before the answer to the knock
    /// More of them right before the driver is asked: it waits for what it has by then, and the GPU
    /// works on these meanwhile.
    std::uint64_t more_credits = 0;
    std::uint64_t nap_ns = 0;  ///< the driver may burn a CPU while it waits; we need not
    std::uint64_t until_ns = 0;
    /// kPause: for nothing but the agent's window, so who waits may say so.
    bool for_window = false;
  };

  /// `pace` must outlive the pacer.
  Pacer(region::Pace& pace, const Law& law) : pace_(pace), law_(law) {}

  void Obey(const Law& law) { law_ = law; }
  /// Before anything else, and after a time without a law: `launched` so far, of which nobody knows
  /// what has ended. REQUIRES: the next step is one of Knocked, Opened, Paused.
  void StartAt(std::uint64_t launched, bool may_run);

  /// `launched`: launches of this process so far; the first of them after a rest began at
  /// `first_ns`.
  Step Knocked(std::uint64_t now_ns, std::uint64_t first_ns, std::uint64_t launched);

  /// What the driver was asked, and when: all launches up to number `seen` have ended by `now_ns`.
  struct Answer {
    std::uint64_t asked_ns = 0;
    std::uint64_t now_ns = 0;
    std::uint64_t seen = 0;
    std::uint64_t launched = 0;
  };
  Step Synced(const Answer& answer);

  /// The driver could not be asked (a stream is being captured): what ran is guessed by what
  /// launches took before.
  Step Skipped(std::uint64_t now_ns, std::uint64_t launched);

  Step Paused(std::uint64_t now_ns);
  /// The window has opened, and launches are waiting: instead of a rest.
  Step Opened(std::uint64_t now_ns, std::uint64_t launched);

 private:
  Step Next(std::uint64_t now_ns, std::uint64_t launched);
  Step Rest(std::uint64_t now_ns);
  Step Settled(const Answer& answer);
  Step Round(std::int64_t usable_ns, std::uint64_t queued);
  std::uint64_t LaunchesIn(std::uint64_t ns, std::uint64_t usable_ns) const;
  std::int64_t PauseNs() const;
  std::int64_t UsableNs(std::uint64_t now_ns) const;
  std::uint64_t WhenToLook(std::uint64_t now_ns) const;
  void Count(const Answer& answer, std::uint64_t ended);
  void Learn(std::uint64_t took_ns, std::uint64_t ended, bool all_work);
  std::uint64_t Nap(std::uint64_t queued);
  std::uint64_t RandomNap(std::uint64_t mean_ns);

  region::Pace& pace_;
  Law law_;
  BusyShare busy_;
  std::uint64_t random_ = 1;
  // Before the last question:
  std::uint64_t nap_ns_ = 0;
  std::uint64_t mean_nap_ns_ = 0;  ///< 0: its length was chosen, by how much was queued
  std::uint64_t late_ns_ = 0;      ///< by how much naps are longer than they should be
  std::uint64_t busy_from_ns_ = 0;
  std::uint64_t ended_ = 0;        ///< launches known to be over
  std::uint64_t average_ns_ = 0;   ///< GPU time of a launch; 0: not known yet
  std::uint64_t shortest_ns_ = 0;  ///< the least that a launch took lately
  std::uint64_t proven_ = 0;       ///< launches that are done in kMostQueuedNs, as was seen lately
  std::uint64_t last_credits_ = 1;
  int quiet_ = 0;  ///< rounds in a row that brought nothing
  bool fresh_ = false;  ///< no answer since the last knock: others may have had the GPU before
  bool draining_ = false;
  bool settling_ = false;  ///< something unknown may run, until the driver has answered once
};

}  // namespace tessera
