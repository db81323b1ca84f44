#pragma once

#include <string>
#include <string_view>

#include "common/kube/client.h"

namespace tessera::kube {

/// The current context of a kubeconfig text. `file` names it in errors; relative paths in it are
/// relative to the file's folder. Certificates and keys given as files are read here. user_agent is
/// left empty.
Result<Config> ParseKubeconfig(std::string_view yaml, const std::string& file);

/// What a pod knows: `host` and `port` as in KUBERNETES_SERVICE_*, `folder` with the files token
/// and ca.crt.
Result<Config> InClusterConfig(std::string_view host, std::string_view port,
                               const std::string& folder);

/// "https://[fd00::1]:443" from "fd00::1" and "443".
std::string ServerUrl(std::string_view host, std::string_view port);

/// "tessera-extender/0.1.0 (linux/amd64)".
std::string UserAgent(std::string_view component);

}  // namespace tessera::kube
