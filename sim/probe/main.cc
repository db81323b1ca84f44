// tessera-probe: takes all the memory that its GPUs give, launches kernels, and tells what it saw
// in one line of JSON.
#include <signal.h>
#include <time.h>

#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "sim/probe/device_probe.h"

namespace {

using tessera::probe::DeviceReport;

/// Waits for SIGTERM or SIGINT, which are blocked; 0 seconds: as long as it takes.
void Hold(const sigset_t& signals, long seconds) {
  const timespec limit{seconds, 0};
  siginfo_t info;
  if (seconds > 0) {
    sigtimedwait(&signals, &info, &limit);
  } else {
    sigwaitinfo(&signals, &info);
  }
}

}  // namespace

int main(int argc, char** argv) {
  tessera::probe::Options options;
  std::size_t chunk_mib = 256;
  std::size_t smallest_kib = 1024;
  long spin_ms = 200;
  long kernel_us = 1000;
  long hold_seconds = 1;

  CLI::App app{"Takes all the GPU memory it gets, launches kernels, prints one line of JSON."};
  app.add_option("--chunk-mib", chunk_mib, "size of the first allocations")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--smallest-kib", smallest_kib, "size of the last, smallest allocation")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--spin-ms", spin_ms, "launch kernels for so long")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  app.add_option("--kernel-us", kernel_us, "length of one kernel")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  app.add_option("--hold", hold_seconds, "seconds to hold the memory; 0: until SIGTERM")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  app.add_flag("--exact", options.exact, "fail unless all memory told to be free can be got");
  app.set_version_flag("--version", TESSERA_VERSION);
  CLI11_PARSE(app, argc, argv);
  options.chunk_bytes = chunk_mib << 20;
  options.smallest_bytes = std::min(smallest_kib << 10, options.chunk_bytes);
  options.spin = std::chrono::milliseconds(spin_ms);
  options.kernel = std::chrono::microseconds(kernel_us);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);  // before the driver starts its threads

  std::vector<std::string> problems;
  std::vector<DeviceReport> devices;
  int count = 0;
  if (const CUresult result = cuInit(0); result != CUDA_SUCCESS) {
    problems.push_back("cuInit: " + tessera::probe::ErrorName(result));
  } else if (const CUresult counted = cuDeviceGetCount(&count); counted != CUDA_SUCCESS) {
    problems.push_back("cuDeviceGetCount: " + tessera::probe::ErrorName(counted));
  } else if (count == 0) {
    problems.push_back("no GPU is visible");
  }
  bool ok = problems.empty();
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    devices.push_back(tessera::probe::ProbeDevice(ordinal, options));
    ok = ok && devices.back().problems.empty();
  }
  std::printf("%s\n", tessera::probe::ReportLine(devices, problems).c_str());
  std::fflush(stdout);
  if (ok) Hold(signals, hold_seconds);
  return ok ? 0 : 1;
}
