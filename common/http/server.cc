#include "common/http/server.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/log.h"
#include "common/http/connection.h"
#include "common/http/connection_table.h"
#include "common/http/engine.h"
#include "common/http/health.h"
#include "common/http/listener.h"
#include "common/http/router.h"
#include "common/http/thread_pool.h"
#include "common/http/tls.h"

namespace tessera::http {
namespace {

constexpr std::chrono::seconds kHandshakeTime{10};
constexpr std::chrono::seconds kThreadIdleTime{10};

/// How many files the process may open: connections must not use up what others need.
std::size_t DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return std::max<std::size_t>(limit.rlim_cur, 16);
}

std::string First(const std::multimap<std::string, std::string>& map, const std::string& name) {
  const auto found = map.find(name);
  return found == map.end() ? std::string() : found->second;
}

}  // namespace

std::string Request::Query(const std::string& name) const { return First(query, name); }
std::string Request::Header(const std::string& lower_case_name) const {
  return First(headers, lower_case_name);
}

struct Server::Impl {
  explicit Impl(ServerOptions given)
      : options(std::move(given)),
        engine{router, stop, options.max_body_bytes, options.keep_alive},
        connections(std::min(options.max_connections, DescriptorLimit() / 2)) {}

  Result<int> Start();
  void Admit(int fd);
  void Serve(int fd, std::uint64_t id);

  const ServerOptions options;
  Router router;
  Health health;
  StopEvent stop;
  const EngineOptions engine;
  ConnectionTable connections;
  std::unique_ptr<ReloadingTls> tls;  // null: plain
  std::optional<Listener> listener;
  ThreadPool pool{kThreadIdleTime};  // one task per open connection
  std::thread acceptor;
};

Result<int> Server::Impl::Start() {
  if (listener) return Fail(Errc::kInvalidArgument, "the server was started before");
  signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (options.cert_file.empty() != options.key_file.empty()) {
    return Fail(Errc::kInvalidArgument,
                "a certificate file needs a private key file and vice versa");
  }
  if (options.cert_file.empty() && !options.client_ca_file.empty()) {
    return Fail(Errc::kInvalidArgument, "a client CA file needs a certificate file");
  }
  if (!options.cert_file.empty()) {
    TESSERA_TRY(tls,
                ReloadingTls::Open({options.cert_file, options.key_file, options.client_ca_file},
                                   options.certificate_check_interval));
  }
  TESSERA_TRY(auto opened, Listener::Open(options.bind_address, options.port));
  listener.emplace(std::move(opened));
  acceptor = std::thread([this] { listener->Run(stop, [this](int fd) { Admit(fd); }); });
  return listener->port();
}

void Server::Impl::Admit(int fd) {
  const auto admission = connections.Admit(fd);
  if (admission.evicted_another) {
    log::Warn("connection limit reached; the longest idle one was closed",
              {{"limit", options.max_connections}});
  }
  if (admission.id == 0) {
    log::Warn("connection limit reached; a new one was refused",
              {{"limit", options.max_connections}});
    close(fd);
  } else if (!pool.Submit([this, fd, id = admission.id] { Serve(fd, id); })) {
    connections.Remove(admission.id);
    log::Error("no thread for a new connection", {});
    close(fd);
  }
}

void Server::Impl::Serve(int fd, std::uint64_t id) {
  const SslContext context = tls ? tls->Current() : nullptr;
  Transport transport(fd, SslPtr(context ? SSL_new(context.get()) : nullptr), stop);
  if (transport.Handshake(std::chrono::steady_clock::now() + kHandshakeTime)) {
    Connection connection(transport);
    Engine requests(connection, engine, [&](bool idle) {
      if (idle) connections.MarkIdle(id);
      return idle || connections.MarkBusy(id);
    });
    const bool linger = requests.Run();
    transport.Close(linger);
  }
  connections.Remove(id);
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  const auto live = [](const Request&) { return Health::Live(); };
  Route("GET", "/healthz", live);
  Route("GET", "/livez", live);
  Route("GET", "/readyz", [this](const Request& request) {
    return impl_->health.Ready(request.query.contains("verbose"));
  });
}

Server::~Server() { Stop(); }

void Server::Route(std::string_view method, const std::string& pattern, Handler handler) {
  impl_->router.Add(method, pattern, [handler = std::move(handler)](const Request& request) {
    return StreamResponse{.head = handler(request), .body = nullptr};
  });
}

void Server::Stream(std::string_view method, const std::string& pattern, StreamHandler handler) {
  impl_->router.Add(method, pattern, std::move(handler));
}

void Server::AddReadyCheck(std::string name, std::function<std::string()> check) {
  impl_->health.AddReadyCheck(std::move(name), std::move(check));
}

void Server::ServeMetrics(std::function<std::string()> render) {
  Route("GET", "/metrics", [render = std::move(render)](const Request&) {
    return Response{.body = render(), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
  });
}

Result<int> Server::Start() { return impl_->Start(); }
void Server::Drain() { impl_->health.Drain(); }

void Server::Stop() {
  impl_->stop.Set();
  if (impl_->acceptor.joinable()) impl_->acceptor.join();
  impl_->pool.Join();
}

}  // namespace tessera::http
