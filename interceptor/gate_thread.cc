#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "common/abi/cuda_more.h"
#include "interceptor/contexts.h"
#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/gate.h"
#include "interceptor/gate_state.h"
#include "interceptor/glibc.h"
#include "interceptor/pacer.h"
#include "interceptor/trace.h"

namespace tessera {
namespace gate {

constinit std::atomic<bool> ending = false;

namespace {

using Step = Pacer::Step;

/// How soon an idle thread sees that the share has changed.
constexpr std::uint64_t kLookNs = 1'000'000'000;
constexpr std::uint64_t kEndPatienceNs = 100'000'000;

constinit std::atomic<bool> started[region::kMaxDevices] = {};
constinit std::atomic<int> in_driver = 0;
constinit std::atomic<bool> ends_watched = false;

/// The thread of one GPU.
class Keeper {
 public:
  explicit Keeper(session::DeviceIndex device)
      : device_(device), gate_(GateOf(device)), pace_(session::PaceOf(device)), pacer_(pace_, 50) {}

  void Run() {
    while (!ending.load()) {
      const std::uint32_t before = std::exchange(percent_, session::ShareToKeep(device_));
      if (percent_ == 0) {
        KeepOpen();
        continue;
      }
      if (before == 0) pacer_.StartAt(Launched());
      pacer_.SetPercent(percent_);
      if (step_.kind == Step::Kind::kRest) Rest();
      if (step_.kind == Step::Kind::kPause) Pause();
      if (step_.kind == Step::Kind::kRound || step_.kind == Step::Kind::kDrain) Round();
    }
  }

 private:
  void KeepOpen() {
    const std::uint32_t seen = gate_.knocks.load();
    if (gate_.state.load() != State::kOpen) Show(State::kOpen, 0);
    step_ = {};
    resting_ = false;
    FutexWait(gate_.knocks, seen, kLookNs);
  }

  /// Launches that went to the GPU. May be one short for a moment while a stream is captured.
  std::uint64_t Launched() const { return session::LaunchesOf(device_) - gate_.captured.load(); }

  /// Everybody looks anew: leases are void, the pool is what `credits` says.
  void Show(State state, std::uint64_t credits) {
    gate_.pool.store(0);
    EpochOf(device_).fetch_add(1);
    gate_.pool.store(static_cast<std::int64_t>(credits));
    gate_.state.store(state);
    gate_.turn.fetch_add(1);
    if (gate_.waiting.load() != 0) FutexWakeAll(gate_.turn);
  }

  void Rest() {
    if (!resting_) {
      resting_ = true;
      CountThrottled();
      knocks_ = gate_.knocks.load();
      Show(State::kResting, step_.credits);
    }
    if (gate_.knocks.load() == knocks_) FutexWait(gate_.knocks, knocks_, kLookNs);
    knocks_ = gate_.knocks.load();
    // Whoever has changed the state has knocked by now, or was ended before he could.
    if (gate_.state.load() != State::kBusy) return;
    resting_ = false;
    step_ = pacer_.Knocked(NowNs(), gate_.first_ns.load(), Launched());
  }

  void Pause() {
    if (gate_.state.load() != State::kPaused) {
      paused_ns_ = NowNs();
      gate_.waits_from_ns.store(0);
      Show(State::kPaused, 0);
    }
    const std::uint64_t now = NowNs();
    if (step_.until_ns > now) {
      FutexWait(gate_.knocks, gate_.knocks.load(), std::min(step_.until_ns - now, kLookNs));
    }
    step_ = pacer_.Paused(NowNs());
  }

  void Round() {
    if (step_.credits > 0 || step_.kind == Step::Kind::kDrain) {
      Show(State::kBusy, step_.credits);
    } else {
      gate_.pool.store(0);
    }
    if (step_.nap_ns > 0) Nap(step_.nap_ns);
    const std::uint64_t seen = Launched();
    const std::uint64_t asked = NowNs();
    in_driver.fetch_add(1);
    const bool answered = !ending.load() && contexts::Synchronize(device_);
    in_driver.fetch_sub(1);
    const std::uint64_t now = NowNs();
    const std::uint64_t launched = Launched();
    step_ = answered ? pacer_.Synced({asked, now, seen, launched}) : pacer_.Skipped(now, launched);
  }

  /// Launches have waited for the share, not just for their turn in a round.
  void CountThrottled() {
    const std::uint64_t from = gate_.waits_from_ns.exchange(0);
    if (paused_ns_ == 0) return;
    const std::uint64_t now = NowNs();
    const std::uint64_t begin = std::max(from, paused_ns_);
    if (from != 0 && begin < now) pace_.throttled_ns.fetch_add(now - begin);
    paused_ns_ = 0;
  }

  static void Nap(std::uint64_t ns) {
    const timespec time = {0, static_cast<long>(ns)};
    nanosleep(&time, nullptr);
  }

  const session::DeviceIndex device_;
  Gate& gate_;
  region::Pace& pace_;
  Pacer pacer_;
  std::uint32_t percent_ = 0;
  Step step_;
  bool resting_ = false;
  std::uint32_t knocks_ = 0;
  std::uint64_t paused_ns_ = 0;
};

void* RunKeeper(void* device) {
  // What we ask is no part of anybody's capture.
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  DriverItself().cuThreadExchangeStreamCaptureMode(&mode);
  Keeper(static_cast<session::DeviceIndex>(reinterpret_cast<std::intptr_t>(device))).Run();
  return nullptr;
}

/// At exit, before the driver's own handler, which was there first.
void End() {
  ending.store(true);
  for (std::size_t i = 0; i < region::kMaxDevices; ++i) {
    Gate& gate = GateOf(static_cast<session::DeviceIndex>(i));
    gate.state.store(State::kOpen);
    for (auto* word : {&gate.turn, &gate.knocks}) {
      word->fetch_add(1);
      FutexWakeAll(*word);
    }
  }
  const std::uint64_t end = NowNs() + kEndPatienceNs;
  while (in_driver.load() != 0 && NowNs() < end) {
    const timespec moment = {0, 100'000};
    nanosleep(&moment, nullptr);
  }
}

/// With all signals blocked, which are the program's.
bool CreateThread(session::DeviceIndex device) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);  // of this thread alone, on Linux
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  void* const argument = reinterpret_cast<void*>(static_cast<std::intptr_t>(device));
  const bool created = pthread_create(&thread, &attributes, RunKeeper, argument) == 0;
  pthread_attr_destroy(&attributes);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return created;
}

}  // namespace

void StartThread(session::DeviceIndex device) {
  if (started[device].load(std::memory_order_acquire)) return;
  if (!session::KeepsShares()) return;
  if (session::ShareToKeep(device) == 0 && !session::LimitsMayChange()) return;
  if (started[device].exchange(true)) return;
  if (!ends_watched.exchange(true)) atexit(End);
  // Nobody passes unseen until the thread is there.
  if (session::ShareToKeep(device) != 0) GateOf(device).state.store(State::kPaused);
  if (CreateThread(device)) return;
  (Line() << "no thread to hold the share of GPU time: it is not held").Write();
  GateOf(device).state.store(State::kOpen);
}

}  // namespace gate

void ForgetGateThreadsAfterFork() {
  for (auto& one : gate::started) one.store(false, std::memory_order_relaxed);
  gate::in_driver.store(0, std::memory_order_relaxed);
  gate::ending.store(false, std::memory_order_relaxed);
}

}  // namespace tessera
