#include "common/app/flags.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace tessera::app {
namespace {

// Whoever floods this listener must not take the descriptors of the main one.
constexpr std::size_t kMaxMetricsConnections = 64;
constexpr std::size_t kMaxMetricsBodyBytes = std::size_t{4} << 10;

}  // namespace

void AddClientFlags(CLI::App& app, ServerFlags& flags) {
  app.set_version_flag("--version", TESSERA_VERSION);
  app.add_option(
      "--kubeconfig", flags.kubeconfig,
      "Kubeconfig file; default: KUBECONFIG, then the pod's service account, then ~/.kube/config");
  app.add_option("--kube-api-qps", flags.kube_api_qps, "Requests per second to the API server")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--kube-api-burst", flags.kube_api_burst, "Requests that may go at once")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--logging-format", flags.log_format, "text or json")
      ->transform(CLI::CheckedTransformer(std::map<std::string, log::Format>{
          {"text", log::Format::kText}, {"json", log::Format::kJson}}));
  app.add_option("-v,--verbosity", flags.verbosity, "0: state changes; 1 and more: every request")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddFlags(CLI::App& app, ServerFlags& flags) {
  AddClientFlags(app, flags);
  app.add_option("--bind-address", flags.http.bind_address, "Address to listen on")
      ->capture_default_str();
  app.add_option("--port,--secure-port", flags.http.port, "Port to listen on; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--port-file", flags.port_file,
                 "File that receives the port, once the server listens");
  CLI::Option* cert = app.add_option("--tls-cert-file", flags.http.cert_file,
                                     "PEM certificate; without it the server speaks plain HTTP");
  CLI::Option* key =
      app.add_option("--tls-private-key-file", flags.http.key_file, "PEM private key");
  cert->needs(key);
  key->needs(cert);
  app.add_option("--client-ca-file", flags.http.client_ca_file,
                 "PEM CA: only clients with a certificate of it are answered")
      ->needs(cert);
}

std::optional<http::ServerOptions> MetricsFlags::Http() const {
  if (!port) return std::nullopt;
  return http::ServerOptions{.bind_address = bind_address,
                             .port = *port,
                             .max_body_bytes = kMaxMetricsBodyBytes,
                             .max_connections = kMaxMetricsConnections};
}

void AddMetricsFlags(CLI::App& app, MetricsFlags& flags) {
  CLI::Option* port =
      app.add_option("--metrics-port", flags.port,
                     "Port that serves health and metrics only, as plain HTTP; 0: any free one; "
                     "default: none")
          ->check(CLI::Range(0, 65535));
  app.add_option("--metrics-bind-address", flags.bind_address, "Address of --metrics-port")
      ->needs(port)
      ->capture_default_str();
}

void StartLogging(const std::string& component, const ServerFlags& flags) {
  log::Configure(component, flags.log_format,
                 flags.verbosity > 0 ? log::Level::kDebug : log::Level::kInfo);
  log::Info("starting", {{"version", TESSERA_VERSION},
                         {"bind_address", flags.http.bind_address},
                         {"port", flags.http.port},
                         {"tls", !flags.http.cert_file.empty()},
                         {"client_ca_file", flags.http.client_ca_file},
                         {"kubeconfig", flags.kubeconfig},
                         {"kube_api_qps", flags.kube_api_qps},
                         {"kube_api_burst", flags.kube_api_burst}});
}

Result<void> WritePortFile(const ServerFlags& flags, int port) {
  if (flags.port_file.empty()) return {};
  const std::string temporary = flags.port_file + ".new";
  std::ofstream file(temporary);
  file << port << "\n";
  file.close();
  if (!file || std::rename(temporary.c_str(), flags.port_file.c_str()) != 0) {
    return Fail(Errc::kUnavailable, "port file " + flags.port_file + ": " + std::strerror(errno));
  }
  return {};
}

Result<kube::Config> KubeConfig(const std::string& component, const ServerFlags& flags) {
  TESSERA_TRY(kube::Config config, kube::LoadConfig(flags.kubeconfig, component));
  config.qps = flags.kube_api_qps;
  config.burst = flags.kube_api_burst;
  return config;
}

}  // namespace tessera::app
