#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "sim/runner/lifecycle.h"
#include "sim/runner/process.h"

namespace tessera::sim {

/// What is known about a container right now.
struct ContainerReport {
  ContainerView view;
  int restarts = 0;
  std::string reason;   ///< why it waits: "CreateContainerError", "CrashLoopBackOff"
  std::string message;  ///< for people
  std::chrono::system_clock::time_point started;
  std::chrono::system_clock::time_point ended;
};

/// Runs one container until it has ended for good: starts it, waits, starts it again as the restart
/// policy says, first at once and then after 10 s, 20 s, … 5 min. Owns one thread. Thread-safe.
class ContainerRunner {
 public:
  /// `plan` is asked anew for each start, on the runner's thread. `on_change` is called on that
  /// thread, too, after each change of the report.
  struct Settings {
    binpack::ContainerKind kind = binpack::ContainerKind::kApp;
    RestartPolicy policy = RestartPolicy::kAlways;
    std::function<Result<ProcessSpec>()> plan;
    std::function<void()> on_change;
  };
  ContainerRunner(Settings settings, const Clock& clock);
  ~ContainerRunner();  ///< kills

  void Start();  ///< a second call does nothing
  /// SIGTERM now, no restart afterwards. Does not wait. One that was never started ends at once.
  void RequestStop();
  void Kill();  ///< RequestStop with SIGKILL
  ContainerReport report() const;

 private:
  void Run();
  bool RunOnce();
  void SetReport(const ContainerReport& report);
  void Stop(int signal);
  bool WaitBackOff(std::chrono::seconds delay);

  const Settings settings_;
  const Clock& clock_;
  mutable std::mutex mu_;
  std::condition_variable wake_;
  ContainerReport report_ TESSERA_GUARDED_BY(mu_);
  std::shared_ptr<Process> process_ TESSERA_GUARDED_BY(mu_);
  bool started_ TESSERA_GUARDED_BY(mu_) = false;
  bool stopping_ TESSERA_GUARDED_BY(mu_) = false;
  std::jthread thread_;
};

}  // namespace tessera::sim
