#pragma once

#include <string>

#include "common/base/shutdown.h"

namespace tessera::sim {

struct DemoOptions {
  std::string
      examples;  ///< folder of Pod manifests; empty: manifests/examples of this build's source
  std::string delivery = "image";  ///< how the library reaches the pods: image or init
  bool keep = false;               ///< leave the work folder
  bool keep_running = false;       ///< after the checks, until SIGINT
};

/// Runs the whole flow against a simulated cluster and tells what happened. Returns the exit code:
/// 0 only if every check held. Never leaves a process behind.
int RunDemo(const DemoOptions& options, ShutdownSignal& shutdown);

}  // namespace tessera::sim
