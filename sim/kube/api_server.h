#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <rapidjson/document.h>

#include "common/base/result.h"
#include "sim/kube/faults.h"
#include "sim/kube/pki.h"
#include "sim/kube/reply.h"
#include "sim/kube/resource.h"

/// A Kubernetes API server for a laptop: a real HTTPS server with objects in memory.
namespace tessera::sim {

/// What an admission plug-in sees.
struct AdmissionRequest {
  std::string operation;  ///< "CREATE"
  Target target;
  std::string user;
  bool dry_run = false;
};

/// May change the object, which has been checked for its basic shape only, or refuse it. Called
/// outside the store's lock, on the request's thread; concurrent.
using AdmissionHook =
    std::function<Reply<void>(const AdmissionRequest&, rapidjson::Document& object)>;

struct ApiServerOptions {
  std::string bind_address = "127.0.0.1";
  int port = 0;
  std::size_t history = 10'000;  ///< changes that a watch may begin at
  std::chrono::milliseconds bookmark_interval{60'000};
  std::string git_version = "v1.36.0";  ///< what /version says, "+tessera-sim" added
};

/// Clients need a certificate of its CA (Kubeconfig makes one). Thread-safe.
class ApiServer {
 public:
  static Result<std::unique_ptr<ApiServer>> Start(const ApiServerOptions& options = {});
  ~ApiServer();  ///< stops; the objects are gone
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  /// "https://127.0.0.1:PORT"
  const std::string& url() const;
  const CertificateAuthority& ca() const;
  /// The text of a kubeconfig with a new client certificate for `user`.
  Result<std::string> Kubeconfig(const std::string& user) const;
  /// Before the first request that it shall see.
  void SetAdmission(AdmissionHook hook);

  Faults& faults();
  Journal& journal();
  /// Cuts the connections of all watches.
  void CutWatches();
  /// Ends all watches with an ERROR event that says 410.
  void ExpireWatches();
  /// Forgets the history: a watch from an older version is answered 410.
  void Compact();
  void Stop();

 private:
  struct Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::sim
