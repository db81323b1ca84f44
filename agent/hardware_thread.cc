#include "agent/hardware_thread.h"

namespace tessera::agent {

HardwareThread::HardwareThread(Hardware& hardware, std::chrono::seconds interval)
    : hardware_(hardware), interval_(interval), thread_([this] { Run(); }) {}

bool HardwareThread::Stop(std::chrono::seconds patience) {
  std::unique_lock lock(mu_);
  stop_ = true;
  changed_.notify_all();
  if (!changed_.wait_for(lock, patience, [&] { return ended_; })) return false;
  lock.unlock();
  thread_.join();
  return true;
}

void HardwareThread::Run() {
  std::unique_lock lock(mu_);
  while (!stop_) {
    lock.unlock();
    hardware_.Refresh();
    lock.lock();
    changed_.wait_for(lock, interval_, [&] { return stop_; });
  }
  ended_ = true;
  changed_.notify_all();
}

}  // namespace tessera::agent
