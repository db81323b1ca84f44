#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "common/app/flags.h"

namespace tessera::agent {

/// The command line of tessera-agent.
struct Flags {
  app::ServerFlags server;
  std::string node_name;  ///< default: $NODE_NAME
  std::string kubelet_pods_dir = "/var/lib/kubelet/pods";
  std::string nvml_library = "libnvidia-ml.so.1";
  int interval_seconds = 5;
};

void AddFlags(CLI::App& app, Flags& flags);

}  // namespace tessera::agent
