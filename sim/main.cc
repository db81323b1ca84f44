// tessera-sim: a GPU cluster on one machine. Threads: those of the subcommand; main waits for
// signals.
#include <CLI/CLI.hpp>

#include "common/base/log.h"
#include "common/base/shutdown.h"
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

  CLI11_PARSE(app, argc, argv);
  tessera::log::Configure("tessera-sim", tessera::log::Format::kText, tessera::log::Level::kError);
  return tessera::sim::RunDemo(demo, shutdown);
}
