#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "sim/gpu/state.h"

namespace tessera::sim::cuda {

/// A context's first error: 0, or the CUresult that every later call of the context returns.
using Fault = std::shared_ptr<std::atomic<int>>;

/// One entry of a device's queue.
struct Operation {
  std::uint64_t gpu_ns = 0;  ///< > 0: a kernel that needs so much GPU time alone
  int raises = 0;            ///< the CUresult that the operation sets `fault` to when it has run
  Fault fault = {};          ///< once it is set, the operation is skipped
  /// Called when the operation has ended, with that time (CLOCK_MONOTONIC) and whether it was
  /// skipped. May block: the queue waits for it.
  std::function<void(std::uint64_t end_ns, bool skipped)> action = {};
};

/// What one process has queued on one device: run in order of submission, one at a time, by a
/// worker thread that starts with the first kernel. Kernels share the device with the other
/// processes that have work queued (gpu/share.h). Thread-safe.
///
///   idle --kernel--> busy (published to the other processes) --last kernel ended--> idle
class Engine {
 public:
  static constexpr std::size_t kQueueLimit = 1024;

  /// REQUIRES: `state` is attached while kernels run, and outlives the engine.
  Engine(gpu::DeviceState& state, double loss) : state_(state), loss_(loss) {}

  /// Queues an operation and returns its number; blocks while the queue is full. Without a kernel
  /// ahead of it, an operation that is none itself runs at once, in the caller's thread.
  std::uint64_t Submit(Operation operation);
  bool IsDone(std::uint64_t number) const;
  void Wait(std::uint64_t number) const;
  /// The number of the last operation submitted.
  std::uint64_t last() const;

  /// For the end of the process: nothing runs and nothing is published afterwards. Waits a moment
  /// for the worker.
  void Stop();

 private:
  static void* RunWorker(void* engine);
  void Work();
  std::uint64_t RunKernel(const Operation& operation, std::uint64_t start_ns);
  void OpenWindow(std::uint64_t from_ns, std::uint64_t to_ns);
  void Sleep(std::uint64_t until_ns);
  void MarkBusy(std::uint64_t now_ns);
  void MarkIdle(std::uint64_t end_ns);
  void WakeOthers();
  bool StartWorker();

  struct Queued {
    Operation operation;
    std::uint64_t submitted_ns;
  };

  gpu::DeviceState& state_;
  const double loss_;

  mutable std::mutex mu_;
  mutable std::condition_variable changed_;  ///< submitted, done or stopped
  std::deque<Queued> queue_;
  std::uint64_t submitted_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t kernels_ = 0;  ///< queued or running
  bool worker_running_ = false;
  bool stopped_ = false;
  pthread_t worker_{};

  // The worker's own: how fast this process's kernels run. Time up to window_end_ns_ went by at
  // share_; busy_before_ is what the others had been busy at its end.
  std::uint64_t clock_ns_ = 0;
  std::uint64_t window_end_ns_ = 0;
  double share_ = 1.0;
  double plan_ = 1.0;
  std::uint64_t woken_ns_ = 0;
  std::array<std::uint64_t, gpu::kSlots> busy_before_{};
  std::atomic<bool> stopping_{false};
};

}  // namespace tessera::sim::cuda
