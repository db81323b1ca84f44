#include "common/http/engine.h"

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "common/base/log.h"
#include "common/http/body.h"
#include "common/http/status.h"

namespace tessera::http {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

// cpp-httplib writes what it knows of the socket among the peer's headers: not the peer's words.
bool AddedByHttplib(const std::string& name) {
  static const std::set<std::string> kAdded = {"remote_addr", "remote_port", "local_addr",
                                               "local_port"};
  return kAdded.contains(name);
}

Request Translate(const httplib::Request& from) {
  Request to;
  to.method = from.method;
  to.path = from.path;
  to.query = from.params;
  for (const auto& [name, value] : from.headers) {
    std::string lower = Lower(name);
    if (!AddedByHttplib(lower)) to.headers.emplace(std::move(lower), value);
  }
  return to;
}

bool SafeHeader(const std::string& text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

void CopyHead(const Response& from, httplib::Response& to) {
  to.status = from.status;
  for (const auto& [name, value] : from.headers) {
    if (SafeHeader(name) && SafeHeader(value)) to.set_header(name, value);
  }
}

std::string What(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "not a std::exception";
  }
}

}  // namespace

Engine::Engine(Connection& connection, const EngineOptions& options, Idleness idleness)
    : connection_(connection), options_(options), idleness_(std::move(idleness)) {
  // httplib takes an invalid listening socket for "shutting down" and would cut streams; any other
  // will do.
  svr_sock_ = connection_.socket();
  set_keep_alive_max_count(1'000'000);
  set_keep_alive_timeout(options_.keep_alive.count());
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& out) {
    Answer(request, out);
    return HandlerResponse::Handled;
  });
  set_error_handler([this](const httplib::Request&, httplib::Response& out) {
    if (!out.body.empty()) return;
    if (connection_.head_too_large()) out.status = 431;
    Refuse(StatusResponse(out.status, "the request could not be understood", "BadRequest"), out);
  });
}

bool Engine::Run() {
  for (;;) {
    if (!idleness_(true)) return unread_;
    const auto idle = connection_.WaitForRequest(options_.keep_alive);
    if (!idleness_(false) || idle != Transport::Idle::kReadable) return unread_;
    connection_.BeginHead();
    head_ = nullptr;
    bool close = false;
    const bool answered = process_request(connection_, options_.stop.set(), close,
                                          [this](httplib::Request& request) { Prepare(request); });
    if (!connection_.Flush() || !answered || close || unread_ || options_.stop.set())
      return unread_;
    // A head that httplib refused leaves us in the middle of something.
    if (head_ == nullptr) return true;
  }
}

void Engine::Prepare(httplib::Request& request) {
  connection_.EndHead();
  head_ = &request;
  // No compression by httplib (a watch would be held back in the compressor) and no ranges.
  accept_encoding_ = request.get_header_value("Accept-Encoding");
  request.headers.erase("Accept-Encoding");
  request.ranges.clear();
}

void Engine::CloseAfterAnswer() {
  unread_ = true;
  if (head_ == nullptr) return;
  head_->headers.erase("Connection");
  head_->set_header("Connection", "close");
}

void Engine::Refuse(const Response& refusal, httplib::Response& out) {
  CopyHead(refusal, out);
  out.set_content(refusal.body, refusal.content_type);
}

void Engine::Answer(const httplib::Request& request, httplib::Response& out) {
  Request translated = Translate(request);
  if (!accept_encoding_.empty()) translated.headers.emplace("accept-encoding", accept_encoding_);
  auto body =
      ReadBody(translated.headers, options_.max_body_bytes,
               [this](char* data, std::size_t size) { return connection_.read(data, size); });
  if (!body) {
    CloseAfterAnswer();
    return Refuse(StatusResponse(body.error().status, body.error().message), out);
  }
  translated.body = *std::move(body);
  translated.client_name = connection_.transport().ClientName();
  auto match = options_.router.Find(translated.method, translated.path);
  if (!match) return Refuse(match.error(), out);
  translated.matches = std::move(match->groups);
  StreamResponse answer;
  try {
    answer = (*match->handler)(translated);
  } catch (const CutConnection&) {
    return connection_.Abandon();
  } catch (...) {
    log::Error("request handler failed", {{"method", translated.method},
                                          {"path", translated.path},
                                          {"reason", What(std::current_exception())}});
    return Refuse(StatusResponse(500, "internal error"), out);
  }
  CopyHead(answer.head, out);
  if (answer.head.status == 200 && answer.body) {
    StartStream(std::move(answer.body), answer.head.content_type, out);
  } else if (!answer.head.body.empty()) {
    out.set_content(std::move(answer.head.body), answer.head.content_type);
  }
}

void Engine::StartStream(StreamBody body, const std::string& content_type, httplib::Response& out) {
  connection_.SetStreaming();
  out.set_chunked_content_provider(
      content_type, [this, body = std::move(body)](std::size_t, httplib::DataSink& sink) {
        try {
          body([&](std::string_view piece) { return SendPiece(piece, sink); });
        } catch (const CutConnection&) {
          return false;
        } catch (...) {
          log::Error("stream failed", {{"reason", What(std::current_exception())}});
          return false;
        }
        sink.done();
        return true;
      });
}

bool Engine::SendPiece(std::string_view piece, httplib::DataSink& sink) {
  if (options_.stop.set() || !connection_.is_writable()) return false;
  if (!connection_.transport().PeerIsThere()) return false;
  return piece.empty() || sink.write(piece.data(), piece.size());
}

}  // namespace tessera::http
