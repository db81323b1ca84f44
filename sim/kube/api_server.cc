#include "sim/kube/api_server.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <utility>

#include "common/http/server.h"
#include "common/http/status.h"
#include "common/json/json.h"
#include "sim/kube/routes.h"
#include "sim/kube/shared_store.h"

namespace tessera::sim {
namespace {

constexpr const char* kNamespaces[] = {"default", "kube-node-lease", "kube-public", "kube-system"};

std::string RandomText(std::string_view alphabet, std::size_t size) {
  thread_local std::mt19937_64 engine(std::random_device{}());
  std::uniform_int_distribution<std::size_t> pick(0, alphabet.size() - 1);
  std::string text;
  while (text.size() < size) text += alphabet[pick(engine)];
  return text;
}

std::string RandomSuffix() { return RandomText("bcdfghjklmnpqrstvwxz2456789", 5); }

std::string RandomUid() {
  const auto hex = [](std::size_t size) { return RandomText("0123456789abcdef", size); };
  return hex(8) + "-" + hex(4) + "-4" + hex(3) + "-8" + hex(3) + "-" + hex(12);
}

/// A private folder for the server's key, removed in the end.
class SecretFolder {
 public:
  static Result<std::unique_ptr<SecretFolder>> Make() {
    std::string name = (std::filesystem::temp_directory_path() / "tessera-sim-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      return Fail(Errc::kInternal, "cannot make a folder " + name + ": " + std::strerror(errno));
    }
    return std::unique_ptr<SecretFolder>(new SecretFolder(std::move(name)));
  }
  ~SecretFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string Write(const std::string& name, const std::string& content) const {
    std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

 private:
  explicit SecretFolder(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

std::string VersionJson(const std::string& git_version) {
  const auto first = git_version.find('.');
  const auto second = git_version.find('.', first + 1);
  json::Writer out;
  out.StartObject();
  for (const auto& [key, value] :
       {std::pair<const char*, std::string>{"major", git_version.substr(1, first - 1)},
        {"minor", git_version.substr(first + 1, second - first - 1)},
        {"gitVersion", git_version + "+tessera-sim"},
        {"platform", "linux/amd64"}}) {
    out.Key(key);
    out.String(value);
  }
  out.EndObject();
  return out.Take();
}

}  // namespace

struct ApiServer::Impl {
  Impl(const ApiServerOptions& options, CertificateAuthority authority)
      : ca(std::move(authority)),
        store(Store(options.history, RandomSuffix, RandomUid)),
        routes(store, options.bookmark_interval) {}

  http::StreamResponse Answer(const http::Request& request);
  void CreateNamespaces();
  Result<void> Listen(const ApiServerOptions& options);

  const CertificateAuthority ca;
  SharedStore store;
  Routes routes;
  Faults faults;
  Journal journal;
  std::unique_ptr<SecretFolder> folder;
  std::unique_ptr<http::Server> server;
  std::string url;
};

http::StreamResponse ApiServer::Impl::Answer(const http::Request& request) {
  journal.Add({request.method, request.path, request.query, request.body, request.client_name});
  const auto fault = faults.Take(request.method, request.path);
  if (!fault) return routes.Answer(request);
  switch (fault->kind) {
    case Fault::Kind::kDrop:
      throw http::CutConnection{};
    case Fault::Kind::kDropAfter:
      routes.Answer(request);
      throw http::CutConnection{};
    case Fault::Kind::kDelay:
      std::this_thread::sleep_for(fault->delay);
      return routes.Answer(request);
    case Fault::Kind::kAnswer:
      break;
  }
  http::Response answer = http::StatusResponse(fault->code, "a simulated fault", fault->reason);
  if (fault->retry_after_seconds > 0) {
    answer.headers.emplace("Retry-After", std::to_string(fault->retry_after_seconds));
  }
  return {.head = std::move(answer)};
}

void ApiServer::Impl::CreateNamespaces() {
  store.With([](Store& held) {
    for (const char* name : kNamespaces) {
      auto object = json::Parse("{\"metadata\":{\"name\":\"" + std::string(name) + "\"}}").value();
      static_cast<void>(held.Create({.resource = FindResource("", "v1", "namespaces")},
                                    std::move(object), std::chrono::system_clock::now()));
    }
    return true;
  });
}

Result<void> ApiServer::Impl::Listen(const ApiServerOptions& options) {
  TESSERA_TRY(folder, SecretFolder::Make());
  TESSERA_TRY(const KeyPair pair,
              ca.Issue({.common_name = "kube-apiserver",
                        .names = {"127.0.0.1", "::1", "localhost", "kubernetes.default.svc",
                                  options.bind_address}}));
  http::ServerOptions http_options;
  http_options.bind_address = options.bind_address;
  http_options.port = options.port;
  http_options.cert_file = folder->Write("tls.crt", pair.cert_pem);
  http_options.key_file = folder->Write("tls.key", pair.key_pem);
  http_options.client_ca_file = folder->Write("ca.crt", ca.cert_pem());
  server = std::make_unique<http::Server>(http_options);
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    server->Stream(method, "/apis?/.*",
                   [this](const http::Request& request) { return Answer(request); });
  }
  server->Route("GET", "/version", [text = VersionJson(options.git_version)](const http::Request&) {
    return http::Response{.body = text};
  });
  TESSERA_TRY(const int port, server->Start());
  const bool ipv6 = options.bind_address.find(':') != std::string::npos;
  url = "https://" + (ipv6 ? "[" + options.bind_address + "]" : options.bind_address) + ":" +
        std::to_string(port);
  return {};
}

Result<std::unique_ptr<ApiServer>> ApiServer::Start(const ApiServerOptions& options) {
  TESSERA_TRY(CertificateAuthority ca, CertificateAuthority::Create("tessera-sim-ca"));
  auto impl = std::make_unique<Impl>(options, std::move(ca));
  impl->CreateNamespaces();
  if (const auto listening = impl->Listen(options); !listening)
    return tl::unexpected(listening.error());
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() { Stop(); }

const std::string& ApiServer::url() const { return impl_->url; }
const CertificateAuthority& ApiServer::ca() const { return impl_->ca; }

Result<std::string> ApiServer::Kubeconfig(const std::string& user) const {
  TESSERA_TRY(const KeyPair pair,
              impl_->ca.Issue({.common_name = user, .organization = "system:masters"}));
  return KubeconfigText(impl_->url, impl_->ca.cert_pem(), pair);
}

void ApiServer::SetAdmission(AdmissionHook hook) { impl_->routes.SetAdmission(std::move(hook)); }
Faults& ApiServer::faults() { return impl_->faults; }
Journal& ApiServer::journal() { return impl_->journal; }
void ApiServer::CutWatches() { impl_->store.CutWatches(); }
void ApiServer::ExpireWatches() { impl_->store.ExpireWatches(); }

void ApiServer::Compact() {
  impl_->store.With([](Store& store) {
    store.Compact();
    return true;
  });
}

void ApiServer::Stop() { impl_->server->Stop(); }

}  // namespace tessera::sim
