#pragma once

#include <cstdint>

#include "agent/arbiter/fair_shares.h"
#include "agent/arbiter/pauses.h"
#include "interceptor/region/grant.h"

/// One container on one GPU, to the arbiter.
namespace tessera::agent {

/// As it was seen at one moment.
struct TenantSeen {
  std::uint64_t key = 0;  ///< the same at each look; no two are equal
  region::Policy policy = region::Policy::kFixedShare;
  int percent = 0;        ///< as the scheduler assigned it; 0: no share
  bool attached = false;  ///< it has a region that can be read and written
  bool wanting = false;   ///< as its region says (grant.h)
  bool running = false;   ///< likewise
  /// It keeps the GPU busy for as long as it may (Pressure).
  bool presses = false;
  /// So much of the time its work was under way lately (Pressure).
  std::uint32_t occupies_permille = 0;
  /// That have ended, ever, as it counts: what runs between two looks is not seen running.
  std::uint64_t launches = 0;
};

/// What it is to be told, see grant.h.
struct TenantGrant {
  std::uint64_t open_until_ns = 0;
  std::uint64_t likely_open_ns = 0;
  std::uint32_t work_permille = region::kAllWork;  ///< not the arbiter's: Calibration

  bool operator==(const TenantGrant&) const = default;
};

/// What it has had while windows were handed out; grows only.
struct TenantTotals {
  std::uint64_t charged_ns = 0;
  std::uint64_t waited_ns = 0;  ///< wanted, and nothing of it ran
};

/// What the arbiter remembers of it between its steps.
struct Tenant {
  TenantSeen seen;
  FairShare share;
  TenantTotals totals;
  Pauses pauses;
  std::uint64_t last_active_ns = 0;
  std::uint64_t launched_ns = 0;  ///< when it was last seen to have launched
  std::uint64_t closed_ns = 0;    ///< when its last window ended
  /// It wanted, was let in and did nothing: not believed until then.
  std::uint64_t doubted_until_ns = 0;
  unsigned doubts = 0;
  bool overran = false;     ///< and was counted for it
  std::uint64_t round = 0;  ///< of the step that saw it

  /// It wanted or ran within that time, and is there.
  bool ActiveWithin(std::uint64_t ns, std::uint64_t now_ns) const {
    return seen.attached && last_active_ns != 0 && now_ns - last_active_ns < ns;
  }
  bool active() const { return seen.attached && (seen.wanting || seen.running); }
  /// False: it wanted, was let in and has done nothing since. It is stopped, or lies: then it
  /// neither presses nor saves up what it does not use.
  bool believed() const { return doubts == 0 || seen.running; }
  bool presses() const { return seen.presses && believed(); }
  bool best_effort() const { return seen.policy == region::Policy::kBestEffort; }
  /// It may not use more than its share, whoever else is there.
  bool capped() const {
    return seen.policy == region::Policy::kFixedShare && seen.percent > 0 && seen.percent < 100;
  }
};

}  // namespace tessera::agent
