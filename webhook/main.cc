// tessera-webhook: wires flags, certificates, the server and upkeep. Threads: the server's own, and
// main's.
#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>

#include "common/base/log.h"
#include "common/base/shutdown.h"
#include "common/http/metrics.h"
#include "webhook/certificate_store.h"
#include "webhook/delivery.h"
#include "webhook/flags.h"
#include "webhook/service.h"
#include "webhook/upkeep.h"

namespace tessera::webhook {
namespace {

constexpr const char* kComponent = "tessera-webhook";

int Refuse(const Error& error) {
  log::Error("cannot start", {{"reason", error.message}});
  return 1;
}

Result<std::unique_ptr<kube::Client>> VersionSource(const Flags& flags, const Clock& clock) {
  if (!flags.delivery_is_auto()) return nullptr;
  TESSERA_TRY(auto config, app::KubeConfig(kComponent, flags.server));
  return kube::MakeClient(std::move(config), clock);
}

int Serve(const Flags& flags, ShutdownSignal& signal) {
  const SystemClock clock;
  std::optional<CertificateStore> certificates;
  if (!flags.self_signed_dir.empty()) {
    certificates.emplace(flags.self_signed_dir, flags.service_dns_names, clock);
    if (const auto ok = certificates->EnsureFresh(); !ok) return Refuse(ok.error());
  }
  const auto version_source = VersionSource(flags, clock);
  if (!version_source) return Refuse(version_source.error());

  http::Metrics metrics("webhook");
  AdmissionService service(flags.options, metrics, clock);
  Upkeep upkeep({.certificates = certificates ? &*certificates : nullptr,
                 .version_source = version_source->get()},
                service, clock);
  http::Server server(flags.server.http);
  service.AddRoute(server);
  std::atomic<bool> settled{false};
  server.AddReadyCheck("delivery", [&] { return settled ? "" : "not chosen yet"; });
  server.ServeMetrics([&] { return metrics.Render(); });
  const auto port = server.Start();
  if (!port) return Refuse(port.error());
  if (const auto ok = app::WritePortFile(flags.server, *port); !ok) return Refuse(ok.error());
  log::Info("serving", {{"port", *port}, {"delivery", DeliveryName(service.delivery())}});

  do {
    upkeep.Tick();
    settled = true;
  } while (signal.WaitFor(std::chrono::seconds(1)) == 0);
  log::Info("stopping");
  server.Drain();
  // Clients that have not heard of the end yet are still answered; a second signal cuts this short.
  if (flags.drain_seconds > 0) signal.WaitFor(std::chrono::seconds(flags.drain_seconds));
  server.Stop();
  return 0;
}

int Run(int argc, char** argv) {
  ShutdownSignal signal;
  CLI::App cli("Admission webhook of Tessera: makes GPU pods runnable", kComponent);
  Flags flags;
  AddFlags(cli, flags);
  CLI11_PARSE(cli, argc, argv);
  if (const auto ok = Complete(flags); !ok) {
    std::fprintf(stderr, "%s: %s\n", kComponent, ok.error().message.c_str());
    return 2;
  }
  app::StartLogging(kComponent, flags.server);
  return Serve(flags, signal);
}

}  // namespace
}  // namespace tessera::webhook

int main(int argc, char** argv) { return tessera::webhook::Run(argc, argv); }
