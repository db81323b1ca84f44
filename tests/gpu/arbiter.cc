// The agent's compute arbiter alone, for folders of regions: no cluster, no agent, no library.
//
//   arbiter GPU_UUID FOLDER:POLICY:PERCENT...
//
// POLICY is fixed-share, burst-share or best-effort. The folders' region files may appear later.
// Runs until SIGTERM or SIGINT, then prints what it has handed out, one line a container:
// windows=51 overruns=0, then FOLDER charged_s=0.502 waited_s=0.498
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/arbiter/arbiter_thread.h"

namespace {

using tessera::agent::ArbiterReport;
using tessera::agent::ArbiterThread;
using tessera::agent::ArbitratedContainer;
using tessera::region::Policy;

std::optional<Policy> PolicyOf(const std::string& text) {
  if (text == "fixed-share") return Policy::kFixedShare;
  if (text == "burst-share") return Policy::kBurstShare;
  if (text == "best-effort") return Policy::kBestEffort;
  return std::nullopt;
}

std::optional<ArbitratedContainer> Parse(const std::string& uuid, const std::string& text) {
  const std::size_t second = text.rfind(':');
  if (second == std::string::npos || second == 0) return std::nullopt;
  const std::size_t first = text.rfind(':', second - 1);
  if (first == std::string::npos) return std::nullopt;
  const auto policy = PolicyOf(text.substr(first + 1, second - first - 1));
  char* end = nullptr;
  const long percent = strtol(text.c_str() + second + 1, &end, 10);
  const bool is_percent =
      *end == '\0' && second + 1 < text.size() && percent >= 0 && percent <= 100;
  if (!policy || !is_percent) return std::nullopt;
  return ArbitratedContainer{.gpu_uuid = uuid,
                             .region_path = text.substr(0, first) + "/region",
                             .policy = *policy,
                             .percent = static_cast<int>(percent)};
}

void Print(const ArbiterReport& report) {
  for (const ArbiterReport::Gpu& gpu : report.gpus) {
    printf("windows=%llu overruns=%llu\n", static_cast<unsigned long long>(gpu.windows_total),
           static_cast<unsigned long long>(gpu.overruns_total));
    for (const ArbiterReport::Container& one : gpu.containers) {
      printf("%s charged_s=%.3f waited_s=%.3f\n", one.region_path.c_str(),
             1e-9 * static_cast<double>(one.totals.charged_ns),
             1e-9 * static_cast<double>(one.totals.waited_ns));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<ArbitratedContainer> containers;
  for (int i = 2; i < argc; ++i) {
    auto container = Parse(argv[1], argv[i]);
    if (!container) {
      fprintf(stderr, "arbiter: not FOLDER:POLICY:PERCENT: %s\n", argv[i]);
      return 2;
    }
    containers.push_back(*std::move(container));
  }
  if (containers.empty()) {
    fprintf(stderr, "usage: arbiter GPU_UUID FOLDER:POLICY:PERCENT...\n");
    return 2;
  }
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  const ArbiterThread arbiter([&] { return containers; });
  printf("ready\n");
  fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  Print(arbiter.Report());
  return 0;
}
