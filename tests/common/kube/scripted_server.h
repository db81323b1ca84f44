#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "common/http/server.h"
#include "common/kube/client.h"

namespace tessera::kube {

/// An API server that answers requests in the order of a script and keeps a journal of them.
class ScriptedServer {
 public:
  using Step = std::function<http::StreamResponse(const http::Request&)>;

  explicit ScriptedServer(http::ServerOptions options = {});
  ~ScriptedServer() { server_.Stop(); }

  /// The next request is answered so. Beyond the script's end everything is answered 501.
  ScriptedServer& Then(Step step);
  ScriptedServer& Then(int status, const std::string& body,
                       std::multimap<std::string, std::string> headers = {});
  /// A watch that sends `text` and ends.
  ScriptedServer& ThenStream(const std::string& text);
  /// The connection is cut after the head and `text`.
  ScriptedServer& ThenCut(const std::string& text);

  std::vector<http::Request> journal() const;
  int port() const { return port_; }
  /// A client of this server that repeats quickly.
  Config config() const;

 private:
  http::StreamResponse Answer(const http::Request& request);

  http::Server server_;
  int port_ = 0;
  const std::string scheme_;
  mutable std::mutex mu_;
  std::deque<Step> script_;
  std::vector<http::Request> journal_;
};

}  // namespace tessera::kube
