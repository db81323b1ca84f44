#include "common/http/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "common/base/log.h"

namespace tessera::http {
namespace {

constexpr int kBacklog = 1024;
constexpr int kOutOfDescriptorsPauseMs = 50;

void SetFlag(int fd, int level, int option) {
  const int on = 1;
  setsockopt(fd, level, option, &on, sizeof on);
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace

Result<Listener> Listener::Open(const std::string& address, int port) {
  const std::string where = address + " port " + std::to_string(port);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int found = getaddrinfo(address.empty() ? nullptr : address.c_str(),
                                std::to_string(port).c_str(), &hints, &raw);
  if (found != 0) {
    return Fail(Errc::kInvalidArgument, "bind address " + where + ": " + gai_strerror(found));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(raw, freeaddrinfo);
  const int fd = ::socket(raw->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Fail(Errc::kUnavailable, "socket: " + std::string(std::strerror(errno)));
  SetFlag(fd, SOL_SOCKET, SO_REUSEADDR);
  if (bind(fd, raw->ai_addr, raw->ai_addrlen) != 0 || listen(fd, kBacklog) != 0) {
    const std::string reason = std::strerror(errno);
    close(fd);
    return Fail(Errc::kUnavailable, "listen on " + where + ": " + reason);
  }
  return Listener(fd, PortOf(fd));
}

Listener::Listener(Listener&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), port_(other.port_) {}

Listener::~Listener() {
  if (fd_ >= 0) close(fd_);
}

void Listener::Run(const StopEvent& stop, const std::function<void(int fd)>& on_connection) {
  while (!stop.set()) {
    std::array<pollfd, 2> wait{{{fd_, POLLIN, 0}, {stop.fd(), POLLIN, 0}}};
    if (poll(wait.data(), wait.size(), -1) < 0 || wait[0].revents == 0) continue;
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      SetFlag(fd, IPPROTO_TCP, TCP_NODELAY);
      SetFlag(fd, SOL_SOCKET, SO_KEEPALIVE);
      on_connection(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      log::Warn("out of file descriptors; new connections wait",
                {{"reason", std::strerror(errno)}});
      poll(&wait[1], 1, kOutOfDescriptorsPauseMs);
    }
  }
}

}  // namespace tessera::http
