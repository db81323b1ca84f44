#include "common/http/thread_pool.h"

#include <system_error>
#include <thread>
#include <utility>

namespace tessera::http {

bool ThreadPool::Submit(std::function<void()> task) {
  const std::lock_guard lock(mu_);
  if (closed_) return false;
  // A waiting thread may already be meant for an earlier task: count those too.
  if (idle_ <= tasks_.size()) {
    try {
      std::thread([this] { Work(); }).detach();
    } catch (const std::system_error&) {
      return false;
    }
    ++threads_;
  }
  tasks_.push_back(std::move(task));
  wake_.notify_one();
  return true;
}

void ThreadPool::Work() {
  std::unique_lock lock(mu_);
  for (;;) {
    ++idle_;
    const bool woken =
        wake_.wait_for(lock, idle_timeout_, [this] { return !tasks_.empty() || closed_; });
    --idle_;
    if (!woken || tasks_.empty()) break;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
  --threads_;
  // Under the lock: after it, Join may return and the pool be gone.
  left_.notify_all();
}

void ThreadPool::Join() {
  std::unique_lock lock(mu_);
  closed_ = true;
  wake_.notify_all();
  left_.wait(lock, [this] { return threads_ == 0; });
}

std::size_t ThreadPool::size() const {
  const std::lock_guard lock(mu_);
  return threads_;
}

}  // namespace tessera::http
