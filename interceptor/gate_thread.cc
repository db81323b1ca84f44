#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/abi/cuda_more.h"
#include "common/base/monotonic.h"
#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/gate.h"
#include "interceptor/gate_state.h"
#include "interceptor/glibc.h"
#include "interceptor/keeper.h"
#include "interceptor/trace.h"

namespace tessera {
namespace gate {

constinit std::atomic<bool> ending = false;

namespace {

constexpr std::uint64_t kEndPatienceNs = 100'000'000;
constexpr unsigned long kTimerSlackNs = 1'000;

constinit std::atomic<bool> started[region::kMaxDevices] = {};
constinit std::atomic<bool> ends_watched = false;

void* RunKeeper(void* device) {
  // Windows begin and end on time.
  prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
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
    if (started[i].load()) {
      session::SetWaiting(static_cast<session::DeviceIndex>(i), region::WaitsFor::kNothing);
      session::SetRunning(static_cast<session::DeviceIndex>(i), false);
    }
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
  if (started[device].exchange(true)) return;
  if (!ends_watched.exchange(true)) atexit(End);
  if (session::LawOf(device, NowNs()).IsFree()) GateOf(device).state.store(State::kOpen);
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
