#include "sim/runner/container_runner.h"

#include <signal.h>

#include <algorithm>

namespace tessera::sim {
namespace {

constexpr std::chrono::seconds kFirstBackOff{10};
constexpr std::chrono::seconds kLongestBackOff{300};
/// What kubelets tell for a container that could not be started at all.
constexpr int kCannotStart = 128;

}  // namespace

ContainerRunner::ContainerRunner(Settings settings, const Clock& clock)
    : settings_(std::move(settings)), clock_(clock) {
  report_.view.kind = settings_.kind;
}

ContainerRunner::~ContainerRunner() {
  Kill();
  if (thread_.joinable()) thread_.join();
}

void ContainerRunner::Start() {
  const std::lock_guard lock(mu_);
  if (started_ || stopping_) return;
  started_ = true;
  thread_ = std::jthread([this] { Run(); });
}

void ContainerRunner::RequestStop() { Stop(SIGTERM); }
void ContainerRunner::Kill() { Stop(SIGKILL); }

void ContainerRunner::Stop(int signal) {
  std::shared_ptr<Process> process;
  {
    const std::lock_guard lock(mu_);
    stopping_ = true;
    process = process_;
    if (!started_) report_.view.state = ContainerState::kEnded;
  }
  wake_.notify_all();
  if (process) process->Signal(signal);
}

ContainerReport ContainerRunner::report() const {
  const std::lock_guard lock(mu_);
  return report_;
}

void ContainerRunner::SetReport(const ContainerReport& report) {
  {
    const std::lock_guard lock(mu_);
    report_ = report;
  }
  settings_.on_change();
}

void ContainerRunner::Run() {
  std::chrono::seconds delay{0};
  while (RunOnce()) {
    if (!WaitBackOff(delay)) break;
    delay = delay.count() == 0 ? kFirstBackOff : std::min(delay * 2, kLongestBackOff);
  }
  ContainerReport report = this->report();
  report.view.state = ContainerState::kEnded;
  SetReport(report);
}

/// One life of the container. Returns whether there is to be another one.
bool ContainerRunner::RunOnce() {
  ContainerReport report = this->report();
  auto spec = settings_.plan();
  auto started = spec ? Process::Start(*spec)
                      : Result<std::unique_ptr<Process>>(tl::make_unexpected(spec.error()));
  if (!started) {
    report.view.exit_code = kCannotStart;
    report.reason = "CreateContainerError";
    report.message = started.error().message;
  } else {
    const std::shared_ptr<Process> process = *std::move(started);
    bool stop_now = false;
    {
      const std::lock_guard lock(mu_);
      process_ = process;
      stop_now = stopping_;
    }
    if (stop_now) process->Signal(SIGKILL);
    report.view.state = ContainerState::kRunning;
    report.reason.clear();
    report.message.clear();
    report.started = clock_.WallNow();
    SetReport(report);
    report.view.exit_code = process->Wait();
    report.ended = clock_.WallNow();
    report.reason = "CrashLoopBackOff";
    const std::lock_guard lock(mu_);
    process_.reset();
  }
  bool again = ShouldRestart(settings_.kind, settings_.policy, report.view.exit_code);
  {
    const std::lock_guard lock(mu_);
    again = again && !stopping_;
  }
  report.view.state = again ? ContainerState::kBackOff : ContainerState::kEnded;
  if (again) ++report.restarts;
  if (!again) report.reason.clear();
  SetReport(report);
  return again;
}

/// False if the container was stopped meanwhile.
bool ContainerRunner::WaitBackOff(std::chrono::seconds delay) {
  std::unique_lock lock(mu_);
  return !wake_.wait_for(lock, delay, [this] { return stopping_; });
}

}  // namespace tessera::sim
