#pragma once

#include <string>

#include "common/base/shutdown.h"
#include "sim/kube/api_server.h"

namespace tessera::sim {

struct ApiServerCommand {
  int port = 0;
  std::string port_file;
  std::string kubeconfig_out;  ///< the administrator's
  std::string webhook_url;     ///< empty: none
  std::string webhook_ca;
};

/// Serves the API until a signal comes. Returns the exit code. The kubeconfig is there before the
/// port file.
int RunApiServer(const ApiServerCommand& command, ShutdownSignal& shutdown);

class WebhookCaller;

/// Sends each pod that is created through the webhook, and applies its patch. `caller` must outlive
/// the hook.
AdmissionHook WebhookAdmission(WebhookCaller& caller);

}  // namespace tessera::sim
