// tessera-extender: wires the parts. Threads: the two reflectors' own, the server's, and main,
// which waits for SIGTERM.
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include <prometheus/text_serializer.h>

#include "common/app/flags.h"
#include "common/base/log.h"
#include "common/base/shutdown.h"
#include "common/contract/names.h"
#include "common/http/metrics.h"
#include "common/kube/reflector.h"
#include "extender/metrics.h"
#include "extender/routes.h"
#include "extender/watch.h"

using namespace tessera;

namespace {

/// A scheduler that does not know us as nodeCacheCapable sends whole nodes.
constexpr std::size_t kMaxBodyBytes = std::size_t{64} << 20;
constexpr const char* kComponent = "tessera-extender";

struct Options {
  app::ServerFlags server;
  int filter_limit = 8;
  double reservation_ttl_seconds = 10;
  double bind_timeout_seconds = 4;
};

std::chrono::milliseconds Millis(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

void AddOptions(CLI::App& cli, Options& options) {
  options.server.http.port = names::kExtenderPort;
  options.server.http.max_body_bytes = kMaxBodyBytes;
  app::AddFlags(cli, options.server);
  cli.add_option("--filter-limit", options.filter_limit,
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
}

kube::ReflectorHandlers PodHandlers(extender::Cache& cache) {
  return {.on_upsert = [&cache](const rapidjson::Value& pod) { extender::ApplyPod(cache, pod); },
          .on_delete = [&cache](std::string_view,
                                std::string_view uid) { cache.RemovePod(std::string(uid)); },
          .on_synced = [] {}};
}

kube::ReflectorHandlers NodeHandlers(extender::Cache& cache) {
  return {.on_upsert = [&cache](const rapidjson::Value& node) { extender::ApplyNode(cache, node); },
          .on_delete = [&cache](std::string_view name,
                                std::string_view) { cache.RemoveNode(std::string(name)); },
          .on_synced = [] {}};
}

int Run(const Options& options, ShutdownSignal& shutdown) {
  const auto config = app::KubeConfig(kComponent, options.server);
  if (!config) {
    log::Error("no API server", {{"reason", config.error().message}});
    return 1;
  }
  const SystemClock clock;
  const auto watch_client = kube::MakeClient(*config, clock);
  kube::Config bind_config = *config;
  bind_config.request_timeout = Millis(options.bind_timeout_seconds);
  bind_config.retry.budget = Millis(options.bind_timeout_seconds / 2);
  const auto bind_client = kube::MakeClient(bind_config, clock);

  extender::Cache cache(clock, {.hold_time = Millis(options.reservation_ttl_seconds)});
  kube::Reflector nodes(*watch_client, std::string(extender::kNodesPath), NodeHandlers(cache));
  kube::Reflector pods(*watch_client, std::string(extender::kPodsPath), PodHandlers(cache));
  const auto synced = [&] { return nodes.synced() && pods.synced(); };

  http::Metrics metrics("extender");
  extender::RejectionMetrics rejections(metrics.registry());
  const extender::ClusterMetrics cluster(cache);
  const extender::Filter filter(
      cache, {.limit = options.filter_limit}, synced,
      [&](const extender::Reasons& reasons) { rejections.Count(reasons); });
  const extender::Prioritize prioritize(cache, binpack::DefaultWorkload());
  const extender::Bind bind(*bind_client, cache, clock, Millis(options.bind_timeout_seconds),
                            synced);

  http::Server server(options.server.http);
  extender::AddRoutes(server, filter, prioritize, bind, metrics, clock);
  server.AddReadyCheck("nodes", [&] { return std::string(nodes.synced() ? "" : "not synced"); });
  server.AddReadyCheck("pods", [&] { return std::string(pods.synced() ? "" : "not synced"); });
  server.ServeMetrics(
      [&] { return metrics.Render() + prometheus::TextSerializer{}.Serialize(cluster.Collect()); });
  const auto port = server.Start();
  if (!port) {
    log::Error("cannot serve", {{"reason", port.error().message}});
    return 1;
  }
  log::Info("serving", {{"address", options.server.http.bind_address}, {"port", *port}});
  if (const auto written = app::WritePortFile(options.server, *port); !written) {
    log::Error("cannot write the port file", {{"reason", written.error().message}});
    return 1;
  }
  nodes.Start();
  pods.Start();

  const int signal_number = shutdown.Wait();
  log::Info("stopping", {{"signal", signal_number}});
  server.Drain();
  server.Stop();
  watch_client->Shutdown();
  pods.Stop();
  nodes.Stop();
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
  return Run(options, shutdown);
}
