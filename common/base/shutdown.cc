#include "common/base/shutdown.h"

#include <pthread.h>
#include <signal.h>

namespace tessera {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

ShutdownSignal::ShutdownSignal() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int ShutdownSignal::Wait() {
  const sigset_t set = StopSignals();
  int number = 0;
  sigwait(&set, &number);
  return number;
}

int ShutdownSignal::WaitFor(std::chrono::milliseconds timeout) {
  const sigset_t set = StopSignals();
  const timespec wait = {.tv_sec = timeout.count() / 1000,
                         .tv_nsec = (timeout.count() % 1000) * 1'000'000};
  const int number = sigtimedwait(&set, nullptr, &wait);
  return number > 0 ? number : 0;
}

}  // namespace tessera
