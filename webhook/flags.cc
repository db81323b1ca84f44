#include "webhook/flags.h"

#include "common/contract/names.h"
#include "webhook/delivery.h"

namespace tessera::webhook {
namespace {

tl::unexpected<Error> Bad(std::string message) {
  return Fail(Errc::kInvalidArgument, std::move(message));
}

Result<void> CompleteDelivery(Flags& flags) {
  Options& options = flags.options;
  // Until `auto` has found out more: works on every server version.
  options.delivery = ParseDelivery(flags.delivery).value_or(Delivery::kInit);
  const bool host = options.delivery == Delivery::kHostPath;
  if (host && !options.library_host_path.starts_with("/")) {
    return Bad("--delivery=hostPath needs --library-host-path with an absolute path");
  }
  if (!host && options.library_image.empty()) {
    return Bad("--delivery=" + flags.delivery + " needs --library-image");
  }
  return {};
}

Result<void> CompleteCertificates(Flags& flags) {
  if (flags.self_signed_dir.empty()) return {};
  if (!flags.server.http.cert_file.empty()) {
    return Bad("--self-signed-dir and --tls-cert-file exclude each other");
  }
  flags.server.http.cert_file = flags.self_signed_dir + "/tls.crt";
  flags.server.http.key_file = flags.self_signed_dir + "/tls.key";
  return {};
}

}  // namespace

void AddFlags(CLI::App& app, Flags& flags) {
  flags.server.http.port = names::kWebhookPort;
  flags.server.http.bind_address = "0.0.0.0";
  app::AddFlags(app, flags.server);
  app.add_option("--scheduler-name", flags.options.scheduler_name,
                 "Scheduler that GPU pods are given to")
      ->capture_default_str();
  app.add_option("--runtime-class", flags.options.runtime_class,
                 "runtimeClassName of GPU pods; empty: left as it is");
  app.add_option("--delivery", flags.delivery, "How the library reaches containers")
      ->check(CLI::IsMember({"auto", "image", "init", "hostPath"}))
      ->capture_default_str();
  app.add_option("--library-image", flags.options.library_image,
                 "Image with the library, for delivery image and init");
  app.add_option("--library-host-path", flags.options.library_host_path,
                 "Folder of the library on each node, for delivery hostPath");
  app.add_flag("--allow-mps", flags.options.allow_mps,
               "Accept isolation mps: a hostPath volume of --mps-root in such pods");
  app.add_option("--mps-root", flags.options.mps_root, "The agents' --mps-root")
      ->capture_default_str();
  app.add_flag("--allow-memory-oversubscription", flags.options.allow_memory_oversubscription,
               "Let pods ask for host memory beyond their share of a GPU "
               "(tessera.dev/gpu-memory-oversubscribe)");
  app.add_option("--self-signed-dir", flags.self_signed_dir,
                 "Folder where the webhook keeps a CA and certificate of its own");
  app.add_option("--service-dns-names", flags.service_dns_names,
                 "Names and addresses in the certificate of --self-signed-dir")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--drain-seconds", flags.drain_seconds,
                 "How long to go on answering, not ready, after SIGTERM")
      ->check(CLI::Range(0, 60))
      ->capture_default_str();
}

Result<void> Complete(Flags& flags) {
  if (const auto ok = CompleteDelivery(flags); !ok) return ok;
  if (!flags.options.mps_root.starts_with("/")) return Bad("--mps-root must be an absolute path");
  return CompleteCertificates(flags);
}

}  // namespace tessera::webhook
