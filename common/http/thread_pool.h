#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

#include "common/base/thread_annotations.h"

namespace tessera::http {

/// Threads on demand: a task never waits behind another one. A thread that has had nothing to do
/// for `idle_timeout` ends. The caller bounds how many tasks there are. Thread-safe.
class ThreadPool {
 public:
  explicit ThreadPool(std::chrono::milliseconds idle_timeout) : idle_timeout_(idle_timeout) {}
  ~ThreadPool() { Join(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// False if no thread could be started or after Join; the task is not run then.
  bool Submit(std::function<void()> task);
  /// Waits until all submitted tasks have run and their threads have left. Twice is fine.
  void Join();
  /// Threads that exist now, idle ones included.
  std::size_t size() const;

 private:
  void Work();

  const std::chrono::milliseconds idle_timeout_;
  mutable std::mutex mu_;
  std::condition_variable wake_;
  std::condition_variable left_;
  std::deque<std::function<void()>> tasks_ TESSERA_GUARDED_BY(mu_);
  std::size_t threads_ TESSERA_GUARDED_BY(mu_) = 0;
  std::size_t idle_ TESSERA_GUARDED_BY(mu_) = 0;
  bool closed_ TESSERA_GUARDED_BY(mu_) = false;
};

}  // namespace tessera::http
