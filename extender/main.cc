// tessera-extender: flags, clients, and one thread that waits for SIGTERM; the rest is
// extender/service.h.
#include <chrono>

#include "common/app/flags.h"
#include "common/base/log.h"
#include "common/base/shutdown.h"
#include "common/contract/names.h"
#include "extender/service.h"

using namespace tessera;

namespace {

constexpr const char* kComponent = "tessera-extender";
/// A scheduler that does not know us as nodeCacheCapable sends whole nodes.
constexpr std::size_t kMaxBodyBytes = std::size_t{64} << 20;

struct Options {
  app::ServerFlags server;
  app::MetricsFlags metrics;
  extender::ServiceOptions service;
  double reservation_ttl_seconds = 10;
  double bind_timeout_seconds = 4;
  double idle_limit_seconds = 10;
};

std::chrono::milliseconds Millis(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

void AddOptions(CLI::App& cli, Options& options) {
  options.server.http.port = names::kExtenderPort;
  options.server.http.max_body_bytes = kMaxBodyBytes;
  app::AddFlags(cli, options.server);
  app::AddMetricsFlags(cli, options.metrics);
  cli.add_option("--filter-limit", options.service.filter_limit,
                 "Nodes that pass a filter at most; 0: all that fit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  cli.add_option("--reservation-ttl", options.reservation_ttl_seconds,
                 "Seconds that a filtered pod's GPUs are held while it waits for its bind")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  cli.add_option(
         "--bind-timeout", options.bind_timeout_seconds,
         "Seconds after which a bind writes nothing more; below kube-scheduler's httpTimeout")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  cli.add_option("--idle-limit", options.idle_limit_seconds,
                 "Seconds without a filter or bind after which all pods are listed before the next "
                 "filter; below the scheduler's lease duration; 0: never")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  cli.add_option("--watch-other-pods", options.service.watch_other_pods,
                 "Watch pods without GPUs too, to know what CPU is left on GPU nodes; false: in "
                 "clusters too large for it")
      ->capture_default_str();
  cli.add_option("--workload-file", options.service.workload_file,
                 "File that keeps what was learned of the workload across restarts; default: none");
}

int Run(const Options& options, ShutdownSignal& shutdown) {
  const auto config = app::KubeConfig(kComponent, options.server);
  if (!config) {
    log::Error("no API server", {{"reason", config.error().message}});
    return 1;
  }
  kube::Config bind_config = *config;
  // Half for waiting to try again, half for the last try.
  bind_config.request_timeout = options.service.bind_timeout / 2;
  bind_config.retry.budget = options.service.bind_timeout / 2;
  const SystemClock clock;
  const auto watch_client = kube::MakeClient(*config, clock);
  const auto bind_client = kube::MakeClient(bind_config, clock);
  extender::Service service(*watch_client, *bind_client, clock, options.service);
  const auto port = service.Start();
  if (!port) {
    log::Error("cannot serve", {{"reason", port.error().message}});
    return 1;
  }
  log::Info("serving", {{"address", options.server.http.bind_address},
                        {"port", *port},
                        {"metrics_port", service.metrics_port()}});
  if (const auto written = app::WritePortFile(options.server, *port); !written) {
    log::Error("cannot write the port file", {{"reason", written.error().message}});
    return 1;
  }
  const int signal_number = shutdown.Wait();
  log::Info("stopping", {{"signal", signal_number}});
  service.Stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ShutdownSignal shutdown;
  Options options;
  CLI::App cli(
      "Scheduler extender of Tessera: filter, prioritize and bind for pods that ask for GPUs",
      kComponent);
  AddOptions(cli, options);
  CLI11_PARSE(cli, argc, argv);
  app::StartLogging(kComponent, options.server);
  options.service.http = options.server.http;
  options.service.metrics_http = options.metrics.Http();
  options.service.hold_time = Millis(options.reservation_ttl_seconds);
  options.service.bind_timeout = Millis(options.bind_timeout_seconds);
  options.service.idle_limit = Millis(options.idle_limit_seconds);
  return Run(options, shutdown);
}
