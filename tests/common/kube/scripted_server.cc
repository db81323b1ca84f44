#include "tests/common/kube/scripted_server.h"

#include <utility>

namespace tessera::kube {

ScriptedServer::ScriptedServer(http::ServerOptions options)
    : server_(options), scheme_(options.cert_file.empty() ? "http" : "https") {
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    server_.Stream(method, "/.*", [this](const http::Request& request) { return Answer(request); });
  }
  port_ = server_.Start().value();
}

http::StreamResponse ScriptedServer::Answer(const http::Request& request) {
  Step step;
  {
    const std::lock_guard lock(mu_);
    journal_.push_back(request);
    if (script_.empty()) return {.head = {.status = 501, .body = "beyond the script"}};
    step = std::move(script_.front());
    script_.pop_front();
  }
  return step(request);
}

ScriptedServer& ScriptedServer::Then(Step step) {
  const std::lock_guard lock(mu_);
  script_.push_back(std::move(step));
  return *this;
}

ScriptedServer& ScriptedServer::Then(int status, const std::string& body,
                                     std::multimap<std::string, std::string> headers) {
  return Then([=](const http::Request&) {
    return http::StreamResponse{.head = {.status = status, .body = body, .headers = headers}};
  });
}

ScriptedServer& ScriptedServer::ThenStream(const std::string& text) {
  return Then([text](const http::Request&) {
    return http::StreamResponse{.head = {},
                                .body = [text](const http::ChunkSink& sink) { sink(text); }};
  });
}

ScriptedServer& ScriptedServer::ThenCut(const std::string& text) {
  return Then([text](const http::Request&) {
    return http::StreamResponse{.head = {}, .body = [text](const http::ChunkSink& sink) {
                                  if (!text.empty()) sink(text);
                                  throw http::CutConnection{};
                                }};
  });
}

std::vector<http::Request> ScriptedServer::journal() const {
  const std::lock_guard lock(mu_);
  return journal_;
}

Config ScriptedServer::config() const {
  return {.server = scheme_ + "://127.0.0.1:" + std::to_string(port_),
          .user_agent = "tessera-test/1",
          .qps = 0,
          .retry = {.base = std::chrono::milliseconds(1), .max = std::chrono::milliseconds(2)}};
}

}  // namespace tessera::kube
