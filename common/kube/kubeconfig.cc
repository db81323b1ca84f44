#include "common/kube/kubeconfig.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "common/base/base64.h"

namespace tessera::kube {
namespace {

Result<std::string> ReadFile(const std::string& path, const std::string& what) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(Errc::kInvalidArgument, what + ": cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// Reads fields of one mapping of a kubeconfig; errors say file and field.
class Fields {
 public:
  Fields(const YAML::Node& node, std::string file, std::string where)
      : node_(node), file_(std::move(file)), where_(std::move(where)) {}

  tl::unexpected<Error> Bad(const std::string& field, const std::string& problem) const {
    return Fail(Errc::kInvalidArgument, "kubeconfig " + file_ + ": " + where_ +
                                            (field.empty() ? "" : "." + field) + " " + problem);
  }
  bool Has(const std::string& field) const {
    return node_.IsMap() && node_[field] && !node_[field].IsNull();
  }
  Result<std::string> Text(const std::string& field) const {
    if (!Has(field)) return std::string();
    if (!node_[field].IsScalar()) return Bad(field, "must be a string");
    return node_[field].Scalar();
  }
  Result<bool> Flag(const std::string& field) const {
    TESSERA_TRY(const std::string text, Text(field));
    if (text.empty() || text == "false") return false;
    if (text != "true") return Bad(field, "must be true or false");
    return true;
  }
  Result<std::string> Path(const std::string& field) const {
    auto text = Text(field);
    if (!text || text->empty() || text->front() == '/') return text;
    return (std::filesystem::path(file_).parent_path() / *text).string();
  }
  /// The content that NAME-data holds in base64 or NAME points to; empty if neither is there.
  Result<std::string> Content(const std::string& field) const {
    TESSERA_TRY(const std::string data, Text(field + "-data"));
    if (!data.empty()) {
      const auto decoded = base64::Decode(data);
      if (!decoded) return Bad(field + "-data", "is not base64");
      return *decoded;
    }
    TESSERA_TRY(const std::string path, Path(field));
    if (path.empty()) return std::string();
    return ReadFile(path, "kubeconfig " + file_ + ": " + where_ + "." + field);
  }

 private:
  const YAML::Node node_;
  const std::string file_;
  const std::string where_;
};

/// The mapping `inner` of the entry of `list` that is called `name`.
Result<Fields> Named(const YAML::Node& root, const std::string& file, const std::string& list,
                     const std::string& inner, const std::string& name) {
  const std::string where = list + "[" + name + "]";
  if (root[list] && root[list].IsSequence()) {
    for (const YAML::Node& entry : root[list]) {
      if (!entry.IsMap() || !entry["name"] || !entry["name"].IsScalar() ||
          entry["name"].Scalar() != name) {
        continue;
      }
      return Fields(entry[inner] ? entry[inner] : YAML::Node(), file, where + "." + inner);
    }
  }
  return Fields({}, file, where).Bad("", "is missing");
}

Result<void> ReadCluster(const Fields& cluster, Config& config) {
  TESSERA_TRY(config.server, cluster.Text("server"));
  const bool http = config.server.starts_with("http://");
  if (!http && !config.server.starts_with("https://")) {
    return cluster.Bad("server", "must be a URL that begins with https:// or http://");
  }
  while (config.server.ends_with('/')) config.server.pop_back();
  // Inline data wins, as in client-go; a file is kept as a path so that a rotated CA is found.
  TESSERA_TRY(const std::string inline_ca, cluster.Text("certificate-authority-data"));
  if (inline_ca.empty()) {
    TESSERA_TRY(config.ca_file, cluster.Path("certificate-authority"));
  } else {
    TESSERA_TRY(config.ca_data, cluster.Content("certificate-authority"));
  }
  TESSERA_TRY(config.tls_server_name, cluster.Text("tls-server-name"));
  TESSERA_TRY(config.proxy_url, cluster.Text("proxy-url"));
  TESSERA_TRY(config.insecure_skip_tls_verify, cluster.Flag("insecure-skip-tls-verify"));
  return {};
}

Result<void> ReadUser(const Fields& user, Config& config) {
  for (const char* plugin : {"exec", "auth-provider"}) {
    if (user.Has(plugin)) {
      return user.Bad(plugin,
                      "is not supported: use a token, a token file or a client certificate");
    }
  }
  if (user.Has("username") || user.Has("password")) {
    return user.Bad("username", "is not supported: API servers no longer accept passwords");
  }
  TESSERA_TRY(config.token, user.Text("token"));
  TESSERA_TRY(config.token_file, user.Path("tokenFile"));
  TESSERA_TRY(config.client_cert_data, user.Content("client-certificate"));
  TESSERA_TRY(config.client_key_data, user.Content("client-key"));
  if (config.client_cert_data.empty() != config.client_key_data.empty()) {
    return user.Bad("client-certificate", "and client-key must be given together");
  }
  return {};
}

Result<Config> Interpret(const YAML::Node& root, const std::string& file) {
  const Fields top(root, file, "top level");
  if (!root.IsMap()) return top.Bad("", "must be a mapping");
  TESSERA_TRY(const std::string current, top.Text("current-context"));
  if (current.empty()) return top.Bad("current-context", "is missing");
  TESSERA_TRY(const Fields context, Named(root, file, "contexts", "context", current));
  TESSERA_TRY(const std::string cluster_name, context.Text("cluster"));
  TESSERA_TRY(const std::string user_name, context.Text("user"));
  Config config;
  TESSERA_TRY(const Fields cluster, Named(root, file, "clusters", "cluster", cluster_name));
  if (const auto read = ReadCluster(cluster, config); !read) return tl::unexpected(read.error());
  if (user_name.empty()) return config;
  TESSERA_TRY(const Fields user, Named(root, file, "users", "user", user_name));
  if (const auto read = ReadUser(user, config); !read) return tl::unexpected(read.error());
  return config;
}

}  // namespace

Result<Config> ParseKubeconfig(std::string_view yaml, const std::string& file) {
  try {
    return Interpret(YAML::Load(std::string(yaml)), file);
  } catch (const YAML::Exception& error) {
    return Fail(Errc::kInvalidArgument, "kubeconfig " + file + ": " + error.what());
  }
}

std::string ServerUrl(std::string_view host, std::string_view port) {
  const bool ipv6 = host.find(':') != std::string_view::npos && !host.starts_with('[');
  return "https://" + (ipv6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" +
         std::string(port);
}

Result<Config> InClusterConfig(std::string_view host, std::string_view port,
                               const std::string& folder) {
  if (host.empty() || port.empty()) {
    return Fail(Errc::kNotFound, "KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set");
  }
  Config config;
  config.server = ServerUrl(host, port);
  config.token_file = folder + "/token";
  config.ca_file = folder + "/ca.crt";
  TESSERA_TRY(const std::string token, ReadFile(config.token_file, "in-cluster token"));
  if (token.empty())
    return Fail(Errc::kInvalidArgument, "in-cluster token: " + config.token_file + " is empty");
  TESSERA_TRY(const std::string ca, ReadFile(config.ca_file, "in-cluster CA"));
  return config;
}

std::string UserAgent(std::string_view component) {
#if defined(__aarch64__)
  constexpr std::string_view kArchitecture = "arm64";
#else
  constexpr std::string_view kArchitecture = "amd64";
#endif
  return std::string(component) + "/" TESSERA_VERSION " (linux/" + std::string(kArchitecture) + ")";
}

}  // namespace tessera::kube
