#pragma once

#include <httplib.h>

#include <functional>

#include "common/http/connection.h"
#include "common/http/router.h"

namespace tessera::http {

/// What all connections of a server share.
struct EngineOptions {
  const Router& router;
  const StopEvent& stop;
  std::size_t max_body_bytes;
  std::chrono::seconds keep_alive;
};

/// The requests of one connection, one after the other. cpp-httplib parses heads and writes
/// answers; reading bodies, routing and limits are ours (its own have no bound on chunked bodies,
/// take a missing Content-Length as "until the end", and answer Range and multipart on their own).
/// One thread only.
class Engine final : private httplib::Server {
 public:
  /// `Idleness` is told before (true) and after (false) each wait for a request; false from it
  /// ends.
  using Idleness = std::function<bool(bool idle)>;
  Engine(Connection& connection, const EngineOptions& options, Idleness idleness);
  /// Until the peer or the server ends. True if the peer may still be sending.
  bool Run();

 private:
  void Prepare(httplib::Request& request);
  void Answer(const httplib::Request& request, httplib::Response& out);
  void Refuse(const Response& refusal, httplib::Response& out);
  void StartStream(StreamBody body, const std::string& content_type, httplib::Response& out);
  bool SendPiece(std::string_view piece, httplib::DataSink& sink);
  void CloseAfterAnswer();

  Connection& connection_;
  const EngineOptions& options_;
  const Idleness idleness_;
  httplib::Request* head_ = nullptr;  ///< the request being answered
  std::string accept_encoding_;
  bool unread_ = false;  ///< input that we did not read is left
};

}  // namespace tessera::http
