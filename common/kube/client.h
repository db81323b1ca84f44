#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/kube/retry.h"

/// A Kubernetes REST client. Knows nothing about GPUs.
namespace tessera::kube {

enum class PatchType { kMerge, kStrategicMerge, kJson };

/// One event of a watch. `type` is ADDED, MODIFIED, DELETED or BOOKMARK.
struct WatchEvent {
  std::string type;
  rapidjson::Document object;
};

struct ListResult {
  std::string resource_version;
  rapidjson::Document items;  ///< an array; the pages of one list joined
};

/// What to keep of a listed object, made with the allocator.
using Keep = std::function<rapidjson::Value(const rapidjson::Value& object,
                                            rapidjson::Document::AllocatorType& allocator)>;

/// What components need of an API server. Thread-safe. Every error carries the server's own words;
/// codes: kNotFound 404, kConflict 409, kGone 410, kInvalidArgument other 4xx, kUnavailable 429,
/// 5xx, transport and time-out (after the implementation's own retries, where the verb may be
/// repeated).
class Client {
 public:
  virtual ~Client() = default;

  /// `path` as in "/api/v1/nodes/n1", query included where needed.
  virtual Result<rapidjson::Document> Get(const std::string& path) = 0;
  /// Reads all pages of "/api/v1/pods?labelSelector=…".
  virtual Result<ListResult> List(const std::string& path) = 0;
  /// The same with only a part of each object, for lists that are too long to be held whole.
  virtual Result<ListResult> ListParts(const std::string& path, const Keep& keep);
  virtual Result<rapidjson::Document> Post(const std::string& path, const std::string& body) = 0;
  virtual Result<rapidjson::Document> Put(const std::string& path, const std::string& body) = 0;
  virtual Result<rapidjson::Document> Patch(const std::string& path, PatchType type,
                                            const std::string& body) = 0;
  virtual Result<void> Delete(const std::string& path) = 0;

  /// Watches from `resource_version` on; calls `on_event` for each event on the calling thread.
  /// Returns without an error when the server ends the watch (its time-out) or `stop` is requested;
  /// kGone asks for a new list.
  virtual Result<void> Watch(const std::string& path, const std::string& resource_version,
                             const std::function<void(WatchEvent&)>& on_event,
                             std::stop_token stop) = 0;

  /// Ends all calls, waiting ones too, with kUnavailable; later ones fail at once. For a quick end
  /// of the process: call it before stopping what uses the client.
  virtual void Shutdown() {}
};

/// Where the API server is and who we are. From LoadConfig.
struct Config {
  std::string server = {};            ///< "https://10.0.0.1:6443"
  std::string ca_data = {};           ///< PEM; empty: the system's
  std::string ca_file = {};           ///< read anew for each connection; wins over ca_data
  std::string client_cert_data = {};  ///< PEM
  std::string client_key_data = {};   ///< PEM
  std::string token = {};
  std::string token_file = {};  ///< read anew at most every 60 s and on 401; wins over token
  std::string tls_server_name = {};
  std::string proxy_url = {};
  bool insecure_skip_tls_verify = false;
  std::string user_agent = {};  ///< "tessera-extender/0.1.0 (linux/amd64)"
  double qps = 50;              ///< requests per second; watches are not counted
  int burst = 100;
  RetryPolicy retry = {};
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{
      30'000};  ///< one attempt; watches are not bounded by it
};

/// `kubeconfig` if not empty, else the first existing file of $KUBECONFIG (files are not merged),
/// else in-cluster, else ~/.kube/config. `component` goes into the User-Agent. Errors name the file
/// and the field; an exec credential plugin is refused by name.
Result<Config> LoadConfig(const std::string& kubeconfig, std::string_view component);

/// A client on libcurl. `clock` must outlive it.
std::unique_ptr<Client> MakeClient(Config config, const Clock& clock);

}  // namespace tessera::kube
