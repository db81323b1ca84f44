#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/app/flags.h"
#include "webhook/options.h"

namespace tessera::webhook {

/// The command line of tessera-webhook.
struct Flags {
  app::ServerFlags server;
  Options options;
  std::string delivery = "auto";
  std::string self_signed_dir;
  std::vector<std::string> service_dns_names = {"localhost", "127.0.0.1"};
  int drain_seconds = 0;

  bool delivery_is_auto() const { return delivery == "auto"; }
};

void AddFlags(CLI::App& app, Flags& flags);

/// Checks what goes together and fills in what follows (Options::delivery, the certificate files of
/// --self-signed-dir). Errors name the flag.
Result<void> Complete(Flags& flags);

}  // namespace tessera::webhook
