#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "common/kube/kubeconfig.h"

namespace tessera::kube {
namespace {

constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && std::filesystem::exists(path, ignored);
}

Result<Config> FromFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(Errc::kInvalidArgument, "kubeconfig " + path + ": cannot be read");
  return ParseKubeconfig(std::string(std::istreambuf_iterator<char>(in), {}), path);
}

/// The first existing file of a colon separated list; else its first entry.
std::string FirstOf(const std::string& list) {
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    if (Exists(list.substr(begin, end - begin))) return list.substr(begin, end - begin);
    begin = end + 1;
  }
  return list.substr(0, list.find(':'));
}

Result<Config> Locate(const std::string& kubeconfig) {
  if (!kubeconfig.empty()) return FromFile(kubeconfig);
  if (const std::string list = Environment("KUBECONFIG"); !list.empty())
    return FromFile(FirstOf(list));
  const std::string host = Environment("KUBERNETES_SERVICE_HOST");
  std::string port = Environment("KUBERNETES_SERVICE_PORT_HTTPS");
  if (port.empty()) port = Environment("KUBERNETES_SERVICE_PORT");
  if (!host.empty()) return InClusterConfig(host, port, kServiceAccount);
  const std::string home = Environment("HOME") + "/.kube/config";
  if (Exists(home)) return FromFile(home);
  return Fail(
      Errc::kNotFound,
      "no API server is configured: no --kubeconfig, no KUBECONFIG, not in a pod, no " + home);
}

}  // namespace

Result<Config> LoadConfig(const std::string& kubeconfig, std::string_view component) {
  TESSERA_TRY(Config config, Locate(kubeconfig));
  config.user_agent = UserAgent(component);
  return config;
}

}  // namespace tessera::kube
