#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/app/flags.h"
#include "common/contract/names.h"

namespace tessera::agent {

/// The command line of tessera-agent.
struct Flags {
  app::ServerFlags server;
  std::string node_name;  ///< default: $NODE_NAME
  std::string kubelet_pods_dir = "/var/lib/kubelet/pods";
  std::string nvml_library = "libnvidia-ml.so.1";
  int interval_seconds = 5;
  bool arbiter = true;  ///< windows for containers that share a GPU
  bool mps = false;     ///< isolation mps: run MPS daemons
  std::string mps_root = names::kMpsRoot;
  std::string mps_control = "nvidia-cuda-mps-control";
  std::vector<std::string> mps_arguments;
};

void AddFlags(CLI::App& app, Flags& flags);

}  // namespace tessera::agent
