// kubectl-tessera: on the PATH, `kubectl tessera …` runs it.
#include <iostream>
#include <string>

#include "cli/inspect.h"
#include "cli/simulate_command.h"
#include "common/app/flags.h"

using namespace tessera;

namespace {

constexpr const char* kProgram = "kubectl-tessera";

struct InspectOptions {
  std::string node;
  std::string output = "table";
};

Result<std::string> RunInspect(const app::ServerFlags& flags, const InspectOptions& options) {
  TESSERA_TRY(const auto config, app::KubeConfig(kProgram, flags));
  const SystemClock clock;
  const auto client = kube::MakeClient(config, clock);
  TESSERA_TRY(const auto nodes, client->List("/api/v1/nodes"));
  TESSERA_TRY(const auto pods,
              client->List("/api/v1/pods?labelSelector=tessera.dev%2Fmanaged%3Dtrue"));
  const auto reports = cli::Inspect(nodes.items, pods.items, options.node);
  if (!options.node.empty() && reports.empty()) {
    return Fail(Errc::kNotFound, "node " + options.node + " is not there or has no GPU inventory");
  }
  return options.output == "json" ? cli::Json(reports) : cli::Table(reports);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("Looks at the GPUs of a cluster that Tessera shares", kProgram);
  program.require_subcommand(1);
  app::ServerFlags flags;
  app::AddClientFlags(program, flags);
  InspectOptions options;
  CLI::App* inspect =
      program.add_subcommand("inspect", "Nodes, their GPUs, what is given out of them and to whom");
  inspect->fallthrough();
  inspect->add_option("node", options.node, "Only this node");
  inspect->add_option("-o,--output", options.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  const cli::SimulateCommand simulate(program);
  CLI11_PARSE(program, argc, argv);
  const auto text = simulate.chosen() ? simulate.Run(flags) : RunInspect(flags, options);
  if (!text) {
    std::cerr << kProgram << ": " << text.error().message << "\n";
    return 1;
  }
  std::cout << *text;
  return 0;
}
