#include "agent/flags.h"

#include "common/contract/names.h"

namespace tessera::agent {
namespace {

/// A node's name stands in URLs: a DNS subdomain, nothing else.
std::string CheckNodeName(const std::string& name) {
  const bool plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
  return !name.empty() && name.size() <= 253 && plain ? ""
                                                      : "\"" + name + "\" is not a node's name";
}

std::string CheckAbsolute(const std::string& path) {
  return path.starts_with("/") ? "" : "\"" + path + "\" is not an absolute path";
}

}  // namespace

void AddFlags(CLI::App& app, Flags& flags) {
  flags.server.http.port = names::kAgentPort;
  flags.server.http.bind_address = "0.0.0.0";
  app::AddFlags(app, flags.server);
  app.add_option("--node-name", flags.node_name, "Node that this agent runs on")
      ->envname("NODE_NAME")
      ->required()
      ->check(CheckNodeName);
  app.add_option("--kubelet-pods-dir", flags.kubelet_pods_dir, "The kubelet's folder of pods")
      ->capture_default_str();
  app.add_option("--nvml-library", flags.nvml_library, "NVML, as dlopen finds it")
      ->capture_default_str();
  app.add_option("--interval", flags.interval_seconds, "Seconds between two looks at the GPUs")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  app.add_flag("--arbiter,!--no-arbiter", flags.arbiter,
               "Hand out windows of the GPUs' time to containers that share them")
      ->capture_default_str();
  app.add_flag("--mps", flags.mps, "Run an MPS daemon on each GPU that has pods of isolation mps");
  app.add_option("--mps-root", flags.mps_root, "Folder of MPS, which such pods mount")
      ->check(CheckAbsolute)
      ->capture_default_str();
  app.add_option("--mps-control", flags.mps_control, "NVIDIA's control program: a path or a name")
      ->capture_default_str();
  app.add_option("--mps-argument", flags.mps_arguments,
                 "Argument of that program beside -d, where a daemon is started; may be repeated")
      ->allow_extra_args(false);
}

}  // namespace tessera::agent
