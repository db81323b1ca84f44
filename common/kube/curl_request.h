#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <curl/curl.h>

#include "common/base/thread_annotations.h"
#include "common/kube/client.h"
#include "common/kube/retry.h"

namespace tessera::kube {

/// One HTTP request as the API server wants it.
struct HttpRequest {
  std::string method = "GET";
  std::string path;  ///< with query
  std::string body = {};
  std::string content_type = {};
  std::string token = {};
  /// Not null: bytes of a 200 answer go here as they come; false from it ends the transfer. No
  /// total time-out then but `stream_timeout`.
  std::function<bool(std::string_view)> on_bytes = {};
  std::chrono::milliseconds stream_timeout{0};
};

struct HttpAnswer {
  Outcome outcome;
  std::string body;   ///< empty for a streamed 200
  std::string error;  ///< why there is no complete answer; empty if there is
  bool stopped = false;
};

/// Sends requests by libcurl. Connections are kept and used again. Thread-safe: each request has a
/// handle of its own while it runs.
class CurlTransport {
 public:
  explicit CurlTransport(const Config& config);
  ~CurlTransport();
  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;

  /// Ends early, at once, when `stop` is requested.
  HttpAnswer Send(const HttpRequest& request, const std::stop_token& stop);

 private:
  struct Handle;
  struct Reception;
  static HttpAnswer Interpret(std::optional<CURLcode> code, const Handle& handle,
                              Reception& reception);
  std::unique_ptr<Handle> Acquire();
  void Release(std::unique_ptr<Handle> handle);
  void SetUp(Handle& handle) const;

  const Config config_;
  std::string url_base_;    ///< what requests go to
  std::string connect_to_;  ///< "::host:port" if that is another name; empty if not
  std::string host_header_;
  std::mutex mu_;
  std::vector<std::unique_ptr<Handle>> idle_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::kube
