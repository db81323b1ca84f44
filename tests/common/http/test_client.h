#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <openssl/ssl.h>

#include "common/http/server.h"

namespace tessera::http {

/// One answer as it came.
struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

/// TLS of a test client, PEM files.
struct ClientTls {
  std::string ca_file;
  std::string cert_file = {};
  std::string key_file = {};
};

/// A bare connection: it sends what it is told, well-formed or not.
class TestClient {
 public:
  explicit TestClient(int port, const std::optional<ClientTls>& tls = std::nullopt);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool connected() const { return connected_; }
  bool Send(const std::string& bytes);
  /// Next answer; status 0 if the connection ends or nothing comes for five seconds.
  Answer Receive();
  Answer Get(const std::string& path);
  Answer Post(const std::string& path, const std::string& body);
  /// Next line without CRLF; empty at the end.
  std::string Line();
  /// True if the server closes within five seconds, whatever it sends before.
  bool ServerCloses();
  /// Serial number of the server's certificate, in hexadecimal.
  std::string ServerSerial() const;

 private:
  int Read(char* data, int size);
  std::string Bytes(std::size_t count);

  int fd_ = -1;
  bool connected_ = false;
  std::shared_ptr<SSL_CTX> context_;
  std::shared_ptr<SSL> ssl_;
};

/// A folder that is removed in the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  /// Writes a file; returns its path.
  std::string Write(const std::string& name, const std::string& content) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tessera::http
