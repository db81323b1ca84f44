#include "interceptor/keeper.h"

#include <time.h>

#include <algorithm>

#include "common/base/monotonic.h"
#include "interceptor/contexts.h"
#include "interceptor/current_limits.h"

namespace tessera::gate {

constinit std::atomic<int> in_driver = 0;

namespace {

using Kind = Pacer::Step::Kind;
using region::WaitsFor;

/// How soon an idle thread sees that its share has changed.
constexpr std::uint64_t kLookNs = 1'000'000'000;
/// While launches go through freely: how soon it is seen that they do, and that the agent, which is
/// there or is not, wants something else.
constexpr std::uint64_t kFreeLookNs = 5'000'000;
constexpr std::uint64_t kNoAgentLookNs = 100'000'000;
/// So many looks without a launch are a rest.
constexpr int kStillLooks = 20;
/// An open window that nobody uses may be taken away.
constexpr std::uint64_t kWindowLookNs = 1'000'000;
/// As many launches as anybody may start before the thread answers.
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 40;

void Nap(std::uint64_t ns) {
  const timespec time = {0, static_cast<long>(ns)};
  nanosleep(&time, nullptr);
}

}  // namespace

Keeper::Keeper(session::DeviceIndex device)
    : device_(device),
      gate_(GateOf(device)),
      pace_(session::PaceOf(device)),
      law_(session::LawOf(device, NowNs())),
      pacer_(pace_, law_) {}

void Keeper::Run() {
  pacer_.StartAt(Launched(), false);
  while (!ending.load()) {
    Look();
    if (law_.IsFree()) {
      KeepOpen();
      continue;
    }
    if (free_) LeaveOpen();
    if (step_.kind == Kind::kRest) Rest();
    if (step_.kind == Kind::kPause) Pause();
    if (step_.kind == Kind::kRound || step_.kind == Kind::kDrain) Round();
  }
}

void Keeper::Look() {
  law_ = session::LawOf(device_, NowNs());
  pacer_.Obey(law_);
}

/// Launches that went to the GPU. May be one short for a moment while a stream is captured.
std::uint64_t Keeper::Launched() const {
  return session::LaunchesOf(device_) - gate_.captured.load();
}

/// For a knock. In the meantime nothing else is done, and soon the limits are looked at.
void Keeper::Wait(std::uint32_t seen, std::uint64_t ns) {
  const current_limits::Watch watch;
  FutexWait(gate_.knocks, seen, std::min(ns, kLookNs));
}

void Keeper::SetWaiting(WaitsFor what) { session::SetWaiting(device_, what); }
void Keeper::SetRunning(bool on) { session::SetRunning(device_, on); }

/// Everybody looks anew: leases are void, the pool is what `credits` says.
void Keeper::Show(State state, std::uint64_t credits) {
  gate_.pool.store(0);
  EpochOf(device_).fetch_add(1);
  gate_.pool.store(static_cast<std::int64_t>(credits));
  gate_.state.store(state);
  gate_.turn.fetch_add(1);
  if (gate_.waiting.load() != 0) FutexWakeAll(gate_.turn);
}

/// They look anew; the gate stays as it is, since a launch may be changing it.
void Keeper::WakeWaiters() {
  if (gate_.waiting.load() == 0) return;
  gate_.turn.fetch_add(1);
  FutexWakeAll(gate_.turn);
}

/// Nothing holds launches back. All there is to do is to tell the agent that there are some.
void Keeper::KeepOpen() {
  const std::uint32_t seen = gate_.knocks.load();
  const std::uint64_t launched = Launched();
  const bool knocked = gate_.state.load() == State::kBusy;
  const bool moved = launched != launched_ || knocked || !free_;
  launched_ = launched;
  still_looks_ = moved ? 0 : std::min(still_looks_ + 1, kStillLooks);
  const bool active = still_looks_ < kStillLooks;
  if (!free_) CountThrottled();
  free_ = true;
  resting_ = false;
  SetWaiting(WaitsFor::kNothing);
  SetRunning(law_.arbitrated && active);
  const State state = gate_.state.load();
  if (active && state != State::kOpen) Show(State::kOpen, 0);
  if (!active && state != State::kResting) Show(State::kResting, kUnlimited);
  WakeWaiters();
  const std::uint64_t look = law_.arbitrated ? kFreeLookNs : kNoAgentLookNs;
  Wait(seen, active ? look : kLookNs);
}

/// A law begins. What runs on the GPU is not known, but that something may, however long ago the
/// last launch was.
void Keeper::LeaveOpen() {
  free_ = false;
  const std::uint64_t now = NowNs();
  pacer_.StartAt(Launched(), true);
  SetRunning(true);
  Show(State::kBusy, 0);
  step_ = pacer_.Knocked(now, now, Launched());
}

void Keeper::Rest() {
  if (!resting_) {
    resting_ = true;
    CountThrottled();
    SetRunning(false);
    Show(State::kResting, step_.credits);
  }
  const std::uint32_t seen = gate_.knocks.load();
  const bool waited_for = law_.HasEnd() && gate_.waiting.load() != 0;
  SetWaiting(waited_for ? WaitsFor::kWindow : WaitsFor::kNothing);
  if (gate_.state.load() == State::kResting) {
    Wait(seen, law_.HasEnd() ? kWindowLookNs : kLookNs);
  }
  Look();
  // Whoever has changed the state has knocked by now, or was ended before he could.
  if (gate_.state.load() == State::kBusy) {
    resting_ = false;
    SetRunning(true);
    SetWaiting(WaitsFor::kNothing);
    step_ = pacer_.Knocked(NowNs(), gate_.first_ns.load(), Launched());
    return;
  }
  if (law_.HasEnd()) {
    step_ = pacer_.Paused(NowNs());
    resting_ = step_.kind == Kind::kRest;
  }
  // Who waits saw a gate that was closed for a moment.
  if (resting_) WakeWaiters();
}

void Keeper::Pause() {
  if (gate_.state.load() != State::kPaused) {
    paused_ns_ = NowNs();
    gate_.waits_from_ns.store(0);
    Show(State::kPaused, 0);
    resting_ = false;
  }
  SetRunning(false);
  const std::uint32_t seen = gate_.knocks.load();
  const bool waited_for = gate_.waiting.load() != 0;
  const WaitsFor what = step_.for_window ? WaitsFor::kWindow : WaitsFor::kShare;
  SetWaiting(waited_for ? what : WaitsFor::kNothing);
  const std::uint64_t now = NowNs();
  if (step_.for_window && !waited_for) {
    Wait(seen, kLookNs);
  } else if (step_.until_ns > now) {
    Wait(seen, step_.until_ns - now);
  }
  Look();
  step_ = pacer_.Paused(NowNs());
  const bool goes_on = step_.kind == Kind::kRest && law_.HasEnd() && gate_.waiting.load() != 0;
  if (goes_on) Open();
}

/// The window has opened, and launches are waiting for it. First we say so, then we look whether it
/// still is: the agent does it the other way round.
void Keeper::Open() {
  SetRunning(true);
  SetWaiting(WaitsFor::kNothing);
  CountThrottled();
  Look();
  step_ = pacer_.Opened(NowNs(), Launched());
}

void Keeper::Round() {
  SetRunning(true);
  const bool closes = step_.kind == Kind::kDrain;
  if (step_.credits > 0 || closes || gate_.state.load() != State::kBusy) {
    Show(State::kBusy, step_.credits);
  } else if (step_.more_credits == 0) {
    gate_.pool.store(0);
  }
  if (step_.nap_ns > 0) Nap(step_.nap_ns);
  const std::uint64_t seen = Launched();
  if (step_.more_credits > 0) Show(State::kBusy, step_.more_credits);
  const std::uint64_t asked = NowNs();
  in_driver.fetch_add(1);
  const bool answered = !ending.load() && contexts::Synchronize(device_);
  in_driver.fetch_sub(1);
  Look();
  const std::uint64_t now = NowNs();
  const std::uint64_t launched = Launched();
  step_ = answered ? pacer_.Synced({asked, now, seen, launched}) : pacer_.Skipped(now, launched);
}

/// Launches have waited for the share or the window, not just for their turn in a round.
void Keeper::CountThrottled() {
  const std::uint64_t from = gate_.waits_from_ns.exchange(0);
  if (paused_ns_ == 0) return;
  const std::uint64_t now = NowNs();
  const std::uint64_t begin = std::max(from, paused_ns_);
  if (from != 0 && begin < now) pace_.throttled_ns.fetch_add(now - begin);
  paused_ns_ = 0;
}

}  // namespace tessera::gate
