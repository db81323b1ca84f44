#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "common/base/log.h"
#include "common/base/result.h"
#include "common/http/server.h"
#include "common/kube/client.h"

/// The flags that all servers have, so that each main.cc only adds its own.
namespace tessera::app {

/// What the user gave. Fill in other defaults before AddFlags.
struct ServerFlags {
  http::ServerOptions http =
      {};  ///< --bind-address, --port, --tls-cert-file, --tls-private-key-file, --client-ca-file
  std::string port_file = {};   ///< --port-file
  std::string kubeconfig = {};  ///< --kubeconfig
  double kube_api_qps = 50;
  int kube_api_burst = 100;
  log::Format log_format = log::Format::kText;  ///< --logging-format text|json
  int verbosity = 0;                            ///< -v; 1 and more: debug
};

/// Adds the flags above and --version, spelled as in Kubernetes. Values are checked: a wrong
/// one makes CLI11 exit with a message. `flags` must outlive parsing.
void AddFlags(CLI::App& app, ServerFlags& flags);

/// Only --kubeconfig, --kube-api-qps, --kube-api-burst, --logging-format, -v: for programs that
/// serve nothing.
void AddClientFlags(CLI::App& app, ServerFlags& flags);

/// A second listener, for probes and scrapes: its server needs no client certificate and has no
/// other routes.
struct MetricsFlags {
  std::string bind_address = "0.0.0.0";  ///< --metrics-bind-address
  std::optional<int> port = {};          ///< --metrics-port; none: no such listener

  /// How the listener's server is to be set up: plain HTTP, small requests, few connections. None
  /// without a port.
  std::optional<http::ServerOptions> Http() const;
};

/// Adds --metrics-bind-address and --metrics-port. `flags` must outlive parsing.
void AddMetricsFlags(CLI::App& app, MetricsFlags& flags);

/// Sets up logging and writes one line with the flags in use. `component` as in "tessera-extender".
void StartLogging(const std::string& component, const ServerFlags& flags);

/// Writes the port that the server listens on into --port-file, atomically: a reader sees the whole
/// number or no file. Nothing without that flag. Errors (kUnavailable) name the file.
Result<void> WritePortFile(const ServerFlags& flags, int port);

/// kube::LoadConfig with the flags' kubeconfig, qps and burst.
Result<kube::Config> KubeConfig(const std::string& component, const ServerFlags& flags);

}  // namespace tessera::app
