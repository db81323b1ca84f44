#include "agent/arbiter/arbiter.h"

#include <algorithm>

#include "agent/arbiter/accounts.h"

namespace tessera::agent {
namespace {

/// So long before its end a window is prolonged, if it is: the container then goes on without a
/// break.
constexpr std::uint64_t kNearEndNs = 1'000'000;
/// A holder that does nothing for so long, while others want, has given its window up.
constexpr std::uint64_t kGiveUpNs = 1'000'000;
/// A container that wants and does not use its window is stopped, or lies: the window ends.
constexpr std::uint64_t kStartNs = 5'000'000;
/// So often at least a window ends while others want, whoever is next: a holder that was stopped in
/// its work is not told from a busy one before.
constexpr std::uint64_t kUncheckedNs = 1'000'000'000;
constexpr std::uint64_t kFirstDoubtNs = 20'000'000;
constexpr unsigned kMostDoublings = 6;  // 1.3 s
/// Whoever comes back from a pause leaves the holder of the window so much.
constexpr std::uint64_t kLeastNs = 4'000'000;
/// Where somebody may come back, the holder's gate is opened for so long at each look: less is
/// queued then when it does. We may be late for a look by two milliseconds.
constexpr std::uint64_t kAheadNs = 3'000'000;
/// So long whoever made a window change hands pays for it: it cannot help it if the next holder is
/// slow.
constexpr std::uint64_t kHandOverNs = 1'000'000;

// How soon to look again.
constexpr std::uint64_t kHandOverLookNs = 100'000;
constexpr std::uint64_t kQuietLookNs = 250'000;
constexpr std::uint64_t kWindowLookNs = 1'000'000;
constexpr std::uint64_t kOpenLookNs = 10'000'000;  ///< on average
constexpr std::uint64_t kIdleLookNs = 20'000'000;

}  // namespace

const std::vector<TenantGrant>& Arbiter::Step(std::uint64_t now_ns,
                                              std::span<const TenantSeen> seen) {
  Match(now_ns, seen);
  const ArbiterMode before = mode();
  SetWeights(rows_);
  // Longer than this nobody was watched.
  const std::uint64_t elapsed_ns = std::min(now_ns - last_step_ns_, region::kGrantLifeNs);
  if (now_ns - changed_ns_ > kHandOverNs) changer_ = nullptr;
  Charge(rows_,
         {.ns = elapsed_ns,
          .windows = before == ArbiterMode::kWindows,
          .holder = holder_,
          .changer = changer_},
         kWindowNs);
  contention_.Judge(now_ns, rows_);
  // After a break of the agent's own the containers have gone by themselves (kGrantLifeNs).
  const bool broken = now_ns - last_step_ns_ >= region::kGrantLifeNs;
  last_step_ns_ = now_ns;
  if (mode() != ArbiterMode::kWindows) {
    holder_ = nullptr;
  } else if (before != ArbiterMode::kWindows || broken) {
    CloseAll(now_ns);
  } else {
    HandOut(now_ns);
  }
  WriteGrants(now_ns);
  return grants_;
}

const TenantTotals* Arbiter::TotalsOf(std::uint64_t key) const {
  const auto found = tenants_.find(key);
  return found == tenants_.end() ? nullptr : &found->second.totals;
}

void Arbiter::Match(std::uint64_t now_ns, std::span<const TenantSeen> seen) {
  ++round_;
  rows_.clear();
  for (const TenantSeen& one : seen) {
    const auto [found, is_new] = tenants_.try_emplace(one.key);
    Tenant& tenant = found->second;
    // Until now its gate was open.
    if (is_new || (one.attached && !tenant.seen.attached)) tenant.closed_ns = now_ns;
    const bool launched = !is_new && one.launches != tenant.seen.launches;
    tenant.seen = one;
    tenant.round = round_;
    // What runs between two looks is seen by its launches alone; they count where more are to come.
    const bool again = launched && now_ns - tenant.launched_ns < kContendingNs;
    if (launched) tenant.launched_ns = now_ns;
    if (again || tenant.active()) tenant.last_active_ns = now_ns;
    if (tenant.active()) {
      tenant.pauses.Return(now_ns);
    } else {
      tenant.pauses.WantNothing();
    }
    rows_.push_back(&tenant);
  }
  if (changer_ != nullptr && changer_->round != round_) changer_ = nullptr;
  if (holder_ != nullptr && (holder_->round != round_ || !holder_->seen.attached)) Close(now_ns);
  std::erase_if(tenants_, [&](const auto& entry) { return entry.second.round != round_; });
}

void Arbiter::HandOut(std::uint64_t now_ns) {
  if (holder_ != nullptr) TendWindow(now_ns);
  // A window that was taken away: who let something through meanwhile is seen at the next look.
  if (holder_ != nullptr || until_ns_ >= now_ns) return;
  Tenant* const next = Next(now_ns);
  if (next != nullptr && !OthersRun(*next, now_ns)) Open(now_ns, *next);
}

void Arbiter::TendWindow(std::uint64_t now_ns) {
  const Tenant* const next = Next(now_ns);
  holder_->pauses.Look(now_ns, holder_->active());
  if (now_ns >= until_ns_) {
    holder_->pauses.CutShort(now_ns);
    Close(until_ns_, next != nullptr && MayInterrupt(*next) ? next : nullptr);
    return;
  }
  const TenantSeen& seen = holder_->seen;
  holder_ran_ = holder_ran_ || seen.running || seen.launches != launches_before_;
  if (seen.running) holder_->doubts = 0;
  if (HasToEnd(now_ns, next)) {
    holder_->pauses.CutShort(now_ns);
    Close(now_ns, !holder_ran_ ? nullptr : holder_->pauses.quiet_since_ns() != 0 ? holder_ : next);
  } else {
    Prolong(now_ns, next);
  }
}

bool Arbiter::HasToEnd(std::uint64_t now_ns, const Tenant* next) {
  if (next == nullptr) return false;
  if (holder_->best_effort() && !next->best_effort()) return true;
  if (holder_->pauses.quiet_since_ns() != 0) return GivesUp(now_ns);
  if (MayInterrupt(*next) && now_ns - opened_ns_ >= kLeastNs) return true;
  if (holder_ran_ || now_ns - opened_ns_ < kStartNs) return false;
  holder_->doubted_until_ns = now_ns + (kFirstDoubtNs << holder_->doubts);
  holder_->doubts = std::min(holder_->doubts + 1, kMostDoublings);
  return true;
}

/// Others want the GPU, and the holder has nothing to do. If it has not said that it did anything,
/// it is no reason to let it in earlier the next time.
bool Arbiter::GivesUp(std::uint64_t now_ns) {
  Pauses& pauses = holder_->pauses;
  if (!pauses.AreLong() && now_ns - pauses.quiet_since_ns() < kGiveUpNs) return false;
  if (holder_ran_) pauses.GiveUp();
  return true;
}

/// It gave its last window up, and is behind. Who has not begun is left to be doubted.
bool Arbiter::MayInterrupt(const Tenant& next) const {
  return holder_ran_ && next.pauses.woke() && next.best_effort() == holder_->best_effort() &&
         next.share.ahead_ns < holder_->share.ahead_ns;
}

void Arbiter::Prolong(std::uint64_t now_ns, const Tenant* next) {
  if (next != nullptr && MayInterrupt(*next)) return;
  const std::uint64_t left = window_until_ns_ - now_ns;
  if (left <= kNearEndNs) {
    const double ahead =
        holder_->share.ahead_ns + static_cast<double>(left) / holder_->share.weight;
    const bool same_class = next != nullptr && next->best_effort() == holder_->best_effort();
    const bool first =
        next == nullptr || (same_class ? ahead < next->share.ahead_ns : next->best_effort());
    const bool checked = next == nullptr || window_until_ns_ - opened_ns_ < kUncheckedNs;
    if (!first || !checked) return;
    window_until_ns_ += kWindowNs;
    ++windows_total_;
  }
  OpenGate(now_ns, now_ns + kAheadNs);
}

void Arbiter::OpenGate(std::uint64_t now_ns, std::uint64_t until_ns) {
  const bool may_be_interrupted =
      std::any_of(rows_.begin(), rows_.end(), [&](const Tenant* tenant) {
        return tenant != holder_ && tenant->pauses.MayEndSoon(now_ns) &&
               (!tenant->best_effort() || holder_->best_effort());
      });
  if (!may_be_interrupted) until_ns = window_until_ns_;
  until_ns_ = std::min(std::max(until_ns_, until_ns), window_until_ns_);
}

void Arbiter::Open(std::uint64_t now_ns, Tenant& next) {
  for (Tenant* tenant : rows_) {
    const bool overruns = tenant != &next && tenant->seen.attached && tenant->seen.running;
    if (overruns && !tenant->overran) ++overruns_total_;
    tenant->overran = overruns;
  }
  holder_ = &next;
  opened_ns_ = now_ns;
  window_until_ns_ = now_ns + kWindowNs;
  holder_ran_ = false;
  launches_before_ = next.seen.launches;
  next.pauses.Open(now_ns);
  OpenGate(now_ns, now_ns + kLeastNs);
  ++windows_total_;
}

void Arbiter::Close(std::uint64_t at_ns, const Tenant* changer) {
  changer_ = changer;
  changed_ns_ = at_ns;
  holder_->closed_ns = at_ns;
  until_ns_ = at_ns;
  holder_ = nullptr;
}

void Arbiter::CloseAll(std::uint64_t now_ns) {
  for (Tenant* tenant : rows_) tenant->closed_ns = now_ns;
  holder_ = nullptr;
  until_ns_ = now_ns;
}

bool Arbiter::IsStuck(const Tenant& tenant, std::uint64_t now_ns) const {
  return &tenant != holder_ && tenant.seen.running && now_ns - tenant.closed_ns >= kPatienceNs;
}

bool Arbiter::OthersRun(const Tenant& next, std::uint64_t now_ns) const {
  return std::any_of(rows_.begin(), rows_.end(), [&](const Tenant* tenant) {
    return tenant != &next && tenant->seen.attached && tenant->seen.running &&
           !IsStuck(*tenant, now_ns);
  });
}

Tenant* Arbiter::Next(std::uint64_t now_ns) {
  const auto before = [](const Tenant& a, const Tenant& b) {
    if (a.best_effort() != b.best_effort()) return b.best_effort();
    if (a.share.ahead_ns != b.share.ahead_ns) return a.share.ahead_ns < b.share.ahead_ns;
    return a.closed_ns < b.closed_ns;
  };
  Tenant* next = nullptr;
  for (Tenant* tenant : rows_) {
    if (tenant == holder_ || !tenant->seen.attached || !tenant->seen.wanting) continue;
    if (IsStuck(*tenant, now_ns) || now_ns < tenant->doubted_until_ns) continue;
    if (next == nullptr || before(*tenant, *next)) next = tenant;
  }
  return next;
}

void Arbiter::WriteGrants(std::uint64_t now_ns) {
  const bool windows = mode() == ArbiterMode::kWindows;
  const Tenant* const next = windows ? Next(now_ns) : nullptr;
  const std::uint64_t likely = windows ? LikelyNextNs() : 0;
  grants_.clear();
  for (const Tenant* tenant : rows_) {
    if (!windows) {
      const bool rounds = mode() == ArbiterMode::kRounds;
      grants_.push_back({.open_until_ns = rounds ? region::kOpenInRounds : region::kOpenForAll});
    } else if (tenant == holder_) {
      grants_.push_back({.open_until_ns = until_ns_});
    } else {
      grants_.push_back({.likely_open_ns = tenant == next ? likely : likely + kWindowNs});
    }
  }
  look_at_ns_ = NextLook(now_ns, next);
}

/// A hint. A past time has the container look all the time, a later one each millisecond.
std::uint64_t Arbiter::LikelyNextNs() const {
  if (holder_ == nullptr) return until_ns_;
  if (holder_->pauses.AreLong()) return opened_ns_;
  const std::uint64_t quiet_since_ns = holder_->pauses.quiet_since_ns();
  return quiet_since_ns != 0 ? quiet_since_ns + kGiveUpNs : until_ns_;
}

std::uint64_t Arbiter::NextLook(std::uint64_t now_ns, const Tenant* next) const {
  if (mode() != ArbiterMode::kWindows) {
    const bool busy = std::any_of(rows_.begin(), rows_.end(),
                                  [](const Tenant* tenant) { return tenant->active(); });
    if (contention_.IsSliced()) return now_ns + kWindowLookNs;
    // Not in step with anybody who works each 10 ms: golden sections of the way from a half to one
    // and a half.
    const std::uint64_t section = round_ * 6'180'340 % kOpenLookNs;
    return now_ns + (busy && rows_.size() > 1 ? kOpenLookNs / 2 + section : kIdleLookNs);
  }
  if (holder_ == nullptr) {
    if (until_ns_ == now_ns) return now_ns;  // closed just now
    return now_ns + (next != nullptr ? kHandOverLookNs : kWindowLookNs);
  }
  if (holder_->pauses.quiet_since_ns() != 0 && next != nullptr) return now_ns + kQuietLookNs;
  const std::uint64_t near = until_ns_ - kNearEndNs;
  // Who has little to do is done soon.
  const std::uint64_t pace = std::clamp((now_ns - opened_ns_) / 4, kQuietLookNs, kWindowLookNs);
  return std::min(now_ns + pace, now_ns < near ? near : until_ns_);
}

}  // namespace tessera::agent
