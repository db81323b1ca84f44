// The agent's supervisor of MPS daemons alone, for one GPU that pods want: no cluster, no agent.
//
//   mps_daemon ROOT GPU_UUID [CONTROL_PROGRAM]
//
// Prints what happens, one line each: "event MPS daemon is ready", "clients 2". On SIGTERM or
// SIGINT nobody wants the GPU any more: it ends when the daemon has quit, after 60 s at most. Exit
// status 0: no daemon is left.
#include <signal.h>
#include <stdio.h>

#include <string>

#include "agent/mps/supervisor.h"

namespace {

using tessera::agent::mps::Event;
using tessera::agent::mps::GpuState;
using tessera::agent::mps::Supervisor;

constexpr int kTickMs = 100;
constexpr int kMostTicksToEnd = 600;

/// One look; returns the GPU's state.
GpuState Look(Supervisor& supervisor, const std::string& uuid) {
  for (const Event& event : supervisor.Tick()) {
    printf("event %s%s%s\n", event.what, event.reason.empty() ? "" : ": ", event.reason.c_str());
  }
  const auto state = supervisor.Now();
  const auto found = state.gpus.find(uuid);
  return found == state.gpus.end() ? GpuState{} : found->second;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: mps_daemon ROOT GPU_UUID [CONTROL_PROGRAM]\n");
    return 2;
  }
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  setvbuf(stdout, nullptr, _IOLBF, 0);

  const std::string uuid = argv[2];
  const tessera::SystemClock clock;
  Supervisor supervisor(
      {.program = argc > 3 ? argv[3] : "nvidia-cuda-mps-control", .root = argv[1]}, clock);
  supervisor.SetGpus({uuid});
  supervisor.SetWanted({uuid});
  const timespec tick{.tv_sec = 0, .tv_nsec = kTickMs * 1'000'000};
  int clients = 0;
  do {
    const GpuState now = Look(supervisor, uuid);
    if (now.seen.clients != clients) printf("clients %d\n", now.seen.clients);
    clients = now.seen.clients;
  } while (sigtimedwait(&ends, nullptr, &tick) < 0);
  supervisor.SetWanted({});
  for (int i = 0; i < kMostTicksToEnd; ++i) {
    if (!Look(supervisor, uuid).seen.answers) return 0;
    sigtimedwait(&ends, nullptr, &tick);
  }
  printf("event the daemon has not quit\n");
  return 1;
}
