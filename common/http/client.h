#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/http/server.h"

namespace tessera::http {

struct ClientOptions {
  std::string base_url;  ///< "http://127.0.0.1:9610" or "https://…", without a path
  /// PEM file; the server's certificate must come from this CA. Empty: the system's CAs. https
  /// only.
  std::string ca_file;
  /// PEM files of our own certificate, for servers that ask for one. Both or none.
  std::string cert_file;
  std::string key_file;
  std::chrono::milliseconds timeout{5000};  ///< for one whole call
  std::size_t max_body_bytes = std::size_t{32} << 20;
};

/// A blocking HTTP/1.1 client for calls between components. It always verifies the server of an
/// https URL. One connection, kept alive and used with TCP_NODELAY. Thread-safe; concurrent calls
/// take turns.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// The server's answer, whatever its status; header names in lower case. `target` is a path with
  /// its query. Errors: kUnavailable (no connection, certificate refused, time-out),
  /// kResourceExhausted (the body is too large).
  Result<Response> Get(const std::string& target);
  Result<Response> Post(const std::string& target, const std::string& body,
                        const std::multimap<std::string, std::string>& headers = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::http
