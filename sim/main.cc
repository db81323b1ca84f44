// tessera-sim: a GPU cluster on one machine. Threads: those of the subcommand; main waits for
// signals.
#include <CLI/CLI.hpp>

#include "common/base/log.h"
#include "common/base/shutdown.h"
#include "sim/apiserver/command.h"
#include "sim/demo/demo.h"

int main(int argc, char** argv) {
  tessera::ShutdownSignal shutdown;
  CLI::App app{"A GPU cluster on one machine: no GPU and no Kubernetes needed.", "tessera-sim"};
  app.require_subcommand(1);
  app.set_version_flag("--version", TESSERA_VERSION);

  tessera::sim::DemoOptions demo;
  CLI::App* demo_command = app.add_subcommand(
      "demo",
      "Run the whole of Tessera once: schedule the example pods, run them, check everything");
  demo_command->add_option("--examples", demo.examples,
                           "folder of Pod manifests (default: manifests/examples of this build)");
  demo_command->add_option("--delivery", demo.delivery, "how libtessera.so reaches the pods")
      ->check(CLI::IsMember({"image", "init"}))
      ->capture_default_str();
  demo_command->add_flag("--keep", demo.keep, "leave the work folder with all logs and files");
  demo_command->add_flag("--keep-running", demo.keep_running,
                         "after the checks leave everything running until Ctrl-C");

  tessera::sim::ApiServerCommand api;
  CLI::App* api_command = app.add_subcommand(
      "apiserver", "Serve a Kubernetes API with objects in memory, until SIGTERM");
  api_command->add_option("--port", api.port, "0: any free port")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  api_command->add_option("--port-file", api.port_file, "file to write the port to");
  api_command->add_option("--kubeconfig-out", api.kubeconfig_out,
                          "file for an administrator's kubeconfig");
  CLI::Option* url = api_command->add_option("--webhook-url", api.webhook_url,
                                             "mutating webhook that every new pod goes through");
  CLI::Option* ca = api_command->add_option("--webhook-ca", api.webhook_ca, "PEM file of its CA");
  url->needs(ca);
  ca->needs(url);

  CLI11_PARSE(app, argc, argv);
  using tessera::log::Level;
  const bool serve = api_command->parsed();
  tessera::log::Configure(serve ? "tessera-sim-apiserver" : "tessera-sim",
                          tessera::log::Format::kText, serve ? Level::kInfo : Level::kError);
  if (serve) return tessera::sim::RunApiServer(api, shutdown);
  return tessera::sim::RunDemo(demo, shutdown);
}
