#include "agent/mps_thread.h"

#include <condition_variable>
#include <mutex>

#include "common/base/log.h"

namespace tessera::agent {
namespace {

/// How soon a pod that was bound has a daemon started; most looks start no program.
constexpr std::chrono::milliseconds kTick{250};

void Log(const mps::Event& event) {
  if (event.reason.empty()) {
    log::Info(event.what, {{"gpu_uuid", event.uuid}});
  } else {
    log::Warn(event.what, {{"gpu_uuid", event.uuid}, {"reason", event.reason}});
  }
}

}  // namespace

MpsThread::MpsThread(mps::Supervisor& supervisor)
    : thread_([&supervisor](const std::stop_token& stop) {
        std::mutex mu;
        std::condition_variable_any stopped;
        std::unique_lock lock(mu);
        while (!stop.stop_requested()) {
          for (const mps::Event& event : supervisor.Tick()) Log(event);
          stopped.wait_for(lock, stop, kTick, [] { return false; });
        }
      }) {}

}  // namespace tessera::agent
