#include "common/kube/curl_request.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <utility>

namespace tessera::kube {
namespace {

constexpr std::size_t kMaxIdleHandles = 16;
constexpr std::size_t kMaxBody = std::size_t{256} << 20;
constexpr std::size_t kMaxErrorBody = std::size_t{1} << 20;
constexpr long kKeepAliveSeconds = 30;
constexpr unsigned kUserTimeoutMs = 30'000;
constexpr long kMaxIdleSeconds =
    90;  // less than servers wait, so that they do not close under our hands
constexpr int kPollMs = 1'000;

void InitOnce() {
  static const CURLcode kDone = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(kDone);
}

int OnSocket(void*, curl_socket_t fd, curlsocktype) {
  // A peer that vanished without a word: give up on unacknowledged data after this.
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
  return CURL_SOCKOPT_OK;
}

curl_blob BlobOf(const std::string& text) {
  return {.data = const_cast<char*>(text.data()), .len = text.size(), .flags = CURL_BLOB_NOCOPY};
}

bool IsTlsSetup(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return true;
    default:
      return false;
  }
}

/// True if the request cannot have left: no connection was made.
bool NotSent(CURLcode code, CURL* easy) {
  curl_off_t begun_us = 0;
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &begun_us);
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
      return true;
    case CURLE_OPERATION_TIMEDOUT:
      return begun_us == 0;
    default:
      return false;
  }
}

/// host[:port] of "https://host:port/base".
std::string AuthorityOf(const std::string& url) {
  const auto begin = url.find("://");
  if (begin == std::string::npos) return url;
  return url.substr(begin + 3, url.find('/', begin + 3) - begin - 3);
}

std::string PortOf(const std::string& authority, bool https) {
  const auto colon = authority.rfind(':');
  const auto bracket = authority.rfind(']');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    return authority.substr(colon + 1);
  }
  return https ? "443" : "80";
}

struct SlistDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Slist = std::unique_ptr<curl_slist, SlistDeleter>;

void Append(Slist& list, const std::string& line) {
  list.reset(curl_slist_append(list.release(), line.c_str()));
}

/// Gives the body to libcurl, once: it cannot be rewound, so that libcurl does not repeat a write
/// by itself when a reused connection breaks after it was sent.
struct BodyReader {
  std::string_view rest;

  static std::size_t Read(char* into, std::size_t size, std::size_t count, void* self) {
    auto& rest = static_cast<BodyReader*>(self)->rest;
    const std::size_t taken = rest.copy(into, size * count);
    rest.remove_prefix(taken);
    return taken;
  }
};

}  // namespace

/// What arrives during one transfer.
struct CurlTransport::Reception {
  CURL* easy;
  const HttpRequest& request;
  std::string body;
  bool refused = false;  // by on_bytes or a bound

  static std::size_t Write(char* data, std::size_t, std::size_t count, void* self) {
    return static_cast<Reception*>(self)->Take({data, count}) ? count : CURL_WRITEFUNC_ERROR;
  }

  bool Take(std::string_view bytes) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200 && request.on_bytes) {
      refused = !request.on_bytes(bytes);
    } else if (body.size() + bytes.size() > (status >= 400 ? kMaxErrorBody : kMaxBody)) {
      refused = true;
    } else {
      body.append(bytes);
    }
    return !refused;
  }
};

struct CurlTransport::Handle {
  Handle() : easy(curl_easy_init()), multi(curl_multi_init()) {}
  ~Handle() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  /// The end of the transfer that was added; none if `stop` came first.
  std::optional<CURLcode> Drive(const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi); });
    for (int running = 1; !stop.stop_requested();) {
      if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
      int left = 0;
      if (const CURLMsg* message = curl_multi_info_read(multi, &left)) return message->data.result;
      if (running == 0) return CURLE_FAILED_INIT;
      curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
    }
    return std::nullopt;
  }

  CURL* easy;
  CURLM* multi;
  std::array<char, CURL_ERROR_SIZE> error{};
};

CurlTransport::CurlTransport(const Config& config) : config_(config) {
  InitOnce();
  url_base_ = config_.server;
  const std::string authority = AuthorityOf(config_.server);
  if (config_.tls_server_name.empty() || !config_.server.starts_with("https://")) return;
  // The name to verify is another than the one to connect to: libcurl takes it from the URL.
  const std::string port = PortOf(authority, true);
  const auto path = config_.server.find('/', 8);
  url_base_ = "https://" + config_.tls_server_name + ":" + port +
              (path == std::string::npos ? "" : config_.server.substr(path));
  connect_to_ = "::" + (authority.ends_with(":" + port) ? authority : authority + ":" + port);
  host_header_ = "Host: " + authority;
}

CurlTransport::~CurlTransport() = default;

std::unique_ptr<CurlTransport::Handle> CurlTransport::Acquire() {
  {
    const std::lock_guard lock(mu_);
    if (!idle_.empty()) {
      auto handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  return std::make_unique<Handle>();
}

void CurlTransport::Release(std::unique_ptr<Handle> handle) {
  curl_easy_reset(handle->easy);  // keeps connections
  const std::lock_guard lock(mu_);
  if (idle_.size() < kMaxIdleHandles) idle_.push_back(std::move(handle));
}

void CurlTransport::SetUp(Handle& handle) const {
  CURL* easy = handle.easy;
  handle.error[0] = '\0';
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, handle.error.data());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, config_.user_agent.c_str());
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(config_.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, kKeepAliveSeconds);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, kKeepAliveSeconds / 3);
  curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, OnSocket);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, kMaxIdleSeconds);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);  // a rotated CA file must be seen
  const bool verify = !config_.insecure_skip_tls_verify;
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
  if (!config_.proxy_url.empty()) curl_easy_setopt(easy, CURLOPT_PROXY, config_.proxy_url.c_str());
  if (!config_.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, config_.ca_file.c_str());
  } else if (!config_.ca_data.empty()) {
    curl_blob blob = BlobOf(config_.ca_data);
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (!config_.client_cert_data.empty()) {
    curl_blob cert = BlobOf(config_.client_cert_data);
    curl_blob key = BlobOf(config_.client_key_data);
    curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM");
    curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM");
    curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &cert);
    curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
  }
}

HttpAnswer CurlTransport::Interpret(std::optional<CURLcode> code, const Handle& handle,
                                    Reception& reception) {
  HttpAnswer answer;
  long status = 0;
  curl_off_t retry_after = 0;
  curl_easy_getinfo(handle.easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(handle.easy, CURLINFO_RETRY_AFTER, &retry_after);
  answer.body = std::move(reception.body);
  if (!code) {
    answer.stopped = true;
    answer.error = "stopped";
  } else if (*code != CURLE_OK && !(reception.refused && status >= 400)) {
    answer.error = handle.error[0] != '\0' ? handle.error.data() : curl_easy_strerror(*code);
    answer.outcome.not_sent = NotSent(*code, handle.easy);
    answer.outcome.permanent = IsTlsSetup(*code) || reception.refused;
  } else {
    answer.outcome.status = static_cast<int>(status);
    answer.outcome.retry_after = std::chrono::seconds(retry_after);
  }
  return answer;
}

HttpAnswer CurlTransport::Send(const HttpRequest& request, const std::stop_token& stop) {
  auto handle = Acquire();
  CURL* easy = handle->easy;
  SetUp(*handle);
  const std::string url = url_base_ + request.path;
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  Slist headers;
  Append(headers, "Accept: application/json");
  Append(headers, "Expect:");
  if (!request.token.empty()) Append(headers, "Authorization: Bearer " + request.token);
  if (!request.content_type.empty()) Append(headers, "Content-Type: " + request.content_type);
  if (!host_header_.empty()) Append(headers, host_header_);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  Slist connect_to;
  if (!connect_to_.empty()) Append(connect_to, connect_to_);
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to.get());
  BodyReader body{.rest = request.body};
  if (request.method != "GET") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, BodyReader::Read);
    curl_easy_setopt(easy, CURLOPT_READDATA, &body);
  }
  const bool stream = static_cast<bool>(request.on_bytes);
  if (!stream) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  const auto timeout = stream ? request.stream_timeout : config_.request_timeout;
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  Reception reception{.easy = easy, .request = request, .body = {}};
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, Reception::Write);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &reception);

  curl_multi_add_handle(handle->multi, easy);
  const auto code = handle->Drive(stop);
  curl_multi_remove_handle(handle->multi, easy);

  HttpAnswer answer = Interpret(code, *handle, reception);
  Release(std::move(handle));
  return answer;
}

}  // namespace tessera::kube
