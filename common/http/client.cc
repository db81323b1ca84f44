#include "common/http/client.h"

#include <httplib.h>

#include <algorithm>
#include <cctype>
#include <mutex>

namespace tessera::http {
namespace {

using std::chrono::steady_clock;

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Response Convert(const httplib::Response& from, std::string body) {
  Response answer;
  answer.status = from.status;
  answer.body = std::move(body);
  answer.content_type = from.get_header_value("Content-Type");
  for (const auto& [name, value] : from.headers) answer.headers.emplace(LowerCase(name), value);
  return answer;
}

}  // namespace

struct Client::Impl {
  explicit Impl(ClientOptions from)
      : options(std::move(from)), client(options.base_url, options.cert_file, options.key_file) {
    client.set_tcp_nodelay(true);
    client.set_keep_alive(true);
    client.set_connection_timeout(options.timeout);
    client.set_write_timeout(options.timeout);
    client.set_read_timeout(options.timeout);
    if (!options.ca_file.empty()) client.set_ca_cert_path(options.ca_file);
    client.enable_server_certificate_verification(true);
  }

  Result<Response> Send(httplib::Request request) {
    const std::lock_guard lock(mu);
    const auto deadline = steady_clock::now() + options.timeout;
    std::string body;
    bool too_large = false;
    request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t,
                                   std::uint64_t) {
      too_large = body.size() + size > options.max_body_bytes;
      if (too_large || steady_clock::now() > deadline) return false;
      body.append(data, size);
      return true;
    };
    const std::string what = request.method + " " + options.base_url + request.path;
    const httplib::Result answer = client.send(request);
    if (answer) return Convert(*answer, std::move(body));
    if (too_large) {
      return Fail(Errc::kResourceExhausted, what + ": the answer is larger than " +
                                                std::to_string(options.max_body_bytes) + " bytes");
    }
    return Fail(Errc::kUnavailable, what + ": " + httplib::to_string(answer.error()));
  }

  const ClientOptions options;
  std::mutex mu;  ///< one request at a time
  httplib::Client client;
};

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;

Result<Response> Client::Get(const std::string& target) {
  httplib::Request request;
  request.method = "GET";
  request.path = target;
  return impl_->Send(std::move(request));
}

Result<Response> Client::Post(const std::string& target, const std::string& body,
                              const std::multimap<std::string, std::string>& headers) {
  httplib::Request request;
  request.method = "POST";
  request.path = target;
  request.body = body;
  request.headers.emplace("Content-Type", "application/json");
  for (const auto& [name, value] : headers) {
    request.headers.erase(name);
    request.headers.emplace(name, value);
  }
  return impl_->Send(std::move(request));
}

}  // namespace tessera::http
