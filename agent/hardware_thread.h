#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "agent/hardware.h"
#include "common/base/thread_annotations.h"

namespace tessera::agent {

/// Looks at the GPUs every so often, in a thread of its own: a call of a sick driver may never
/// return. Stop must be called before it is destroyed.
class HardwareThread {
 public:
  /// `hardware` must outlive the thread.
  HardwareThread(Hardware& hardware, std::chrono::seconds interval);

  /// False if the thread hangs in the driver; then the process can only be left by _exit.
  bool Stop(std::chrono::seconds patience);

 private:
  void Run();

  Hardware& hardware_;
  const std::chrono::seconds interval_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool stop_ TESSERA_GUARDED_BY(mu_) = false;
  bool ended_ TESSERA_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::agent
