#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "interceptor/session.h"

/// What gate.cc and gate_thread.cc share: one gate for each of the container's GPUs.
namespace tessera::gate {

enum class State : std::uint32_t {
  kOpen,     ///< no share to keep
  kResting,  ///< nothing runs: the next launch knocks
  kBusy,     ///< launches go through as long as there are any in the pool
  kPaused    ///< none goes through, and nothing of ours runs
};

struct Gate {
  /// Closed until the thread is there, or is not needed: nobody passes unseen.
  std::atomic<State> state = State::kPaused;
  std::atomic<std::int64_t> pool = 0;            ///< launches that nobody has leased yet
  std::atomic<std::uint32_t> turn = 0;           ///< futex: changes with each step of the thread
  std::atomic<std::uint64_t> captured = 0;       ///< launches that only went into a capture
  std::atomic<std::uint32_t> knocks = 0;         ///< futex: changes when the thread should look
  std::atomic<std::uint32_t> waiting = 0;        ///< threads that wait for `turn`
  std::atomic<std::uint64_t> first_ns = 0;       ///< when the launch that knocked began
  std::atomic<std::uint64_t> waits_from_ns = 0;  ///< since when a thread waits; 0: none has
};

/// For each device, from 1 on: 0 is no lease's.
std::atomic<std::uint32_t>& EpochOf(session::DeviceIndex device);
Gate& GateOf(session::DeviceIndex device);

/// Starts the device's thread, once in a process. Any thread.
void StartThread(session::DeviceIndex device);

/// The process ends: nothing is held up any more.
[[gnu::visibility("hidden")]] extern constinit std::atomic<bool> ending;

/// Waits while `word` is `seen`, until woken or the time is over.
void FutexWait(std::atomic<std::uint32_t>& word, std::uint32_t seen, std::uint64_t timeout_ns);
void FutexWakeAll(std::atomic<std::uint32_t>& word);

}  // namespace tessera::gate
