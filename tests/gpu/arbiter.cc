// The agent's compute arbiter alone, for folders of regions: no cluster, no agent, no library.
// Where there is NVML it asks how busy the GPU was, as the agent does; elsewhere it says so and
// goes on. TESSERA_NVML names another library than libnvidia-ml.so.1 (none: without samples).
//
//   arbiter GPU_UUID FOLDER:POLICY:PERCENT...
//
// POLICY is fixed-share, burst-share or best-effort. The folders' region files may appear later.
// Runs until SIGTERM or SIGINT, then prints what it has handed out, one line a container:
// windows=51 overruns=0, then FOLDER charged_s=0.502 waited_s=0.498
// and, with NVML, busy_s=0.912 of_s=1.000
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "agent/arbiter/arbiter_thread.h"
#include "agent/busy/busy_thread.h"

namespace {

using tessera::agent::ArbiterReport;
using tessera::agent::ArbiterThread;
using tessera::agent::ArbitratedContainer;
using tessera::agent::BusySample;
using tessera::agent::BusyThread;
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

/// What NVML said in all. Thread-safe.
class Busy {
 public:
  void Add(std::span<const BusySample> samples) {
    const std::lock_guard lock(mu_);
    for (const BusySample& sample : samples) {
      const double length_s = 1e-9 * static_cast<double>(sample.to_ns - sample.from_ns);
      of_s_ += length_s;
      busy_s_ += length_s * sample.permille / 1000;
    }
  }
  void Print() const {
    const std::lock_guard lock(mu_);
    if (of_s_ > 0) printf("busy_s=%.3f of_s=%.3f\n", busy_s_, of_s_);
  }

 private:
  mutable std::mutex mu_;
  double busy_s_ = 0;
  double of_s_ = 0;
};

void Complain(const std::string& uuid, const std::string& reason) {
  fprintf(stderr, "arbiter: utilisation of %s is not known: %s\n", uuid.c_str(), reason.c_str());
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
  ArbiterThread arbiter([&] { return containers; });
  Busy busy;
  const char* const library = getenv("TESSERA_NVML");
  BusyThread asker(
      {.library = library == nullptr ? "libnvidia-ml.so.1" : library},
      [&] { return std::set<std::string>{containers.front().gpu_uuid}; },
      [&](const std::string& uuid, std::span<const BusySample> samples) {
        arbiter.TellBusy(uuid, samples);
        busy.Add(samples);
      },
      Complain);
  asker.Start();
  printf("ready\n");
  fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  Print(arbiter.Report());
  busy.Print();
  fflush(stdout);
  if (!asker.Stop(std::chrono::seconds(2))) _exit(0);  // NVML hangs
  return 0;
}
