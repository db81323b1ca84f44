#include "agent/arbiter/arbiter.h"

#include <algorithm>

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

// How soon to look again.
constexpr std::uint64_t kHandOverLookNs = 100'000;
constexpr std::uint64_t kQuietLookNs = 250'000;
constexpr std::uint64_t kWindowLookNs = 1'000'000;
constexpr std::uint64_t kOpenLookNs = 10'000'000;
constexpr std::uint64_t kIdleLookNs = 20'000'000;

}  // namespace

const std::vector<TenantGrant>& Arbiter::Step(std::uint64_t now_ns,
                                              std::span<const TenantSeen> seen) {
  Match(now_ns, seen);
  SetWeights();
  Charge(now_ns);
  const ArbiterMode before = mode();
  mode_.Choose(now_ns, Contenders(now_ns));
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
    tenant.seen = one;
    tenant.round = round_;
    if (tenant.active()) tenant.last_active_ns = now_ns;
    rows_.push_back(&tenant);
  }
  if (holder_ != nullptr && (holder_->round != round_ || !holder_->seen.attached)) Close(now_ns);
  std::erase_if(tenants_, [&](const auto& entry) { return entry.second.round != round_; });
}

void Arbiter::SetWeights() {
  int guaranteed = 0;
  int without = 0;
  for (const Tenant* tenant : rows_) {
    if (tenant->best_effort()) continue;
    guaranteed += tenant->seen.percent;
    without += tenant->seen.percent == 0 ? 1 : 0;
  }
  const int rest = without == 0 ? 0 : std::max(1, (100 - guaranteed) / without);
  for (Tenant* tenant : rows_) {
    const int percent = tenant->seen.percent;
    tenant->share.weight = percent > 0 ? percent : tenant->best_effort() ? 1 : rest;
  }
}

/// Time costs those that run, in equal parts: work of two that overlaps costs each half. The holder
/// of a window that others wait for pays whether it says that it runs or not. While gates are open
/// nobody is kept from anything, and it costs nothing.
bool Arbiter::Pays(const Tenant& tenant) const {
  if (!tenant.seen.attached || mode() != ArbiterMode::kWindows) return false;
  if (tenant.seen.running) return true;
  return &tenant == holder_ && std::any_of(rows_.begin(), rows_.end(), [&](const Tenant* other) {
    return other != &tenant && other->seen.attached && other->seen.wanting;
  });
}

void Arbiter::Charge(std::uint64_t now_ns) {
  // Longer than this nobody was watched.
  const std::uint64_t elapsed = std::min(now_ns - last_step_ns_, region::kGrantLifeNs);
  const auto elapsed_ns = static_cast<double>(elapsed);
  const bool windows = mode() == ArbiterMode::kWindows;
  const auto paying = std::count_if(rows_.begin(), rows_.end(),
                                    [&](const Tenant* tenant) { return Pays(*tenant); });
  for (const bool best_effort : {false, true}) {
    uses_.clear();
    for (Tenant* tenant : rows_) {
      if (tenant->best_effort() != best_effort) continue;
      const double charge = Pays(*tenant) ? elapsed_ns / static_cast<double>(paying) : 0;
      const bool active = windows && tenant->active() && tenant->believed();
      uses_.push_back({.share = &tenant->share, .charged_ns = charge, .active = active});
      if (!windows) continue;
      tenant->totals.charged_ns += static_cast<std::uint64_t>(charge);
      const bool waits = tenant->active() && !tenant->seen.running;
      if (waits && tenant != holder_) tenant->totals.waited_ns += elapsed;
    }
    Settle(uses_, elapsed_ns, static_cast<double>(kWindowNs));
  }
}

ModeChooser::Seen Arbiter::Contenders(std::uint64_t now_ns) const {
  ModeChooser::Seen seen;
  for (const Tenant* tenant : rows_) {
    if (!tenant->seen.attached) continue;
    const int percent = tenant->seen.percent;
    seen.has_shares = seen.has_shares || tenant->best_effort() || (percent > 0 && percent < 100);
    if (tenant->last_active_ns == 0) continue;
    const std::uint64_t since = now_ns - tenant->last_active_ns;
    seen.contending += since < kContendingNs ? 1 : 0;
    seen.lately += since < kLatelyNs ? 1 : 0;
    const bool presses = tenant->seen.presses && tenant->believed();
    seen.pressing = seen.pressing || (presses && since < kLatelyNs);
  }
  return seen;
}

void Arbiter::HandOut(std::uint64_t now_ns) {
  if (holder_ != nullptr) TendWindow(now_ns);
  // A window that was taken away: who let something through meanwhile is seen at the next look.
  if (holder_ != nullptr || until_ns_ >= now_ns) return;
  Tenant* const next = Next(now_ns);
  if (next != nullptr && !OthersRun(*next, now_ns)) Open(now_ns, *next);
}

void Arbiter::TendWindow(std::uint64_t now_ns) {
  if (now_ns >= until_ns_) {
    Close(until_ns_);
    return;
  }
  holder_ran_ = holder_ran_ || holder_->seen.running;
  if (holder_->seen.running) holder_->doubts = 0;
  if (holder_->active()) {
    quiet_since_ns_ = 0;
  } else if (quiet_since_ns_ == 0) {
    quiet_since_ns_ = now_ns;
  }
  const Tenant* const next = Next(now_ns);
  if (HasToEnd(now_ns, next)) {
    Close(now_ns);
    return;
  }
  const std::uint64_t left = until_ns_ - now_ns;
  if (left > kNearEndNs) return;
  const double ahead = holder_->share.ahead_ns + static_cast<double>(left) / holder_->share.weight;
  const bool same_class = next != nullptr && next->best_effort() == holder_->best_effort();
  const bool first =
      next == nullptr || (same_class ? ahead < next->share.ahead_ns : next->best_effort());
  const bool checked = next == nullptr || until_ns_ - opened_ns_ < kUncheckedNs;
  if (!first || !checked) return;
  until_ns_ += kWindowNs;
  ++windows_total_;
}

bool Arbiter::HasToEnd(std::uint64_t now_ns, const Tenant* next) {
  if (next == nullptr) return false;
  if (holder_->best_effort() && !next->best_effort()) return true;
  if (quiet_since_ns_ != 0) return now_ns - quiet_since_ns_ >= kGiveUpNs;
  if (holder_ran_ || now_ns - opened_ns_ < kStartNs) return false;
  holder_->doubted_until_ns = now_ns + (kFirstDoubtNs << holder_->doubts);
  holder_->doubts = std::min(holder_->doubts + 1, kMostDoublings);
  return true;
}

void Arbiter::Open(std::uint64_t now_ns, Tenant& next) {
  for (Tenant* tenant : rows_) {
    const bool overruns = tenant != &next && tenant->seen.attached && tenant->seen.running;
    if (overruns && !tenant->overran) ++overruns_total_;
    tenant->overran = overruns;
  }
  holder_ = &next;
  opened_ns_ = now_ns;
  until_ns_ = now_ns + kWindowNs;
  quiet_since_ns_ = 0;
  holder_ran_ = false;
  ++windows_total_;
}

void Arbiter::Close(std::uint64_t at_ns) {
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

Arbiter::Tenant* Arbiter::Next(std::uint64_t now_ns) {
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
  // Hints. A past time has the container look all the time, a later one each millisecond.
  const bool quiet = holder_ != nullptr && quiet_since_ns_ != 0 && next != nullptr;
  const std::uint64_t likely = quiet ? quiet_since_ns_ + kGiveUpNs : until_ns_;
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

std::uint64_t Arbiter::NextLook(std::uint64_t now_ns, const Tenant* next) const {
  if (mode() != ArbiterMode::kWindows) {
    const bool busy = std::any_of(rows_.begin(), rows_.end(),
                                  [](const Tenant* tenant) { return tenant->active(); });
    return now_ns + (busy && rows_.size() > 1 ? kOpenLookNs : kIdleLookNs);
  }
  if (holder_ == nullptr) {
    if (until_ns_ == now_ns) return now_ns;  // closed just now
    return now_ns + (next != nullptr ? kHandOverLookNs : kWindowLookNs);
  }
  if (quiet_since_ns_ != 0 && next != nullptr) return now_ns + kQuietLookNs;
  const std::uint64_t near = until_ns_ - kNearEndNs;
  // Who has little to do is done soon.
  const std::uint64_t pace = std::clamp((now_ns - opened_ns_) / 4, kQuietLookNs, kWindowLookNs);
  return std::min(now_ns + pace, now_ns < near ? near : until_ns_);
}

}  // namespace tessera::agent
