#include "common/http/transport.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include <openssl/err.h>

namespace tessera::http {
namespace {

using std::chrono::steady_clock;

int MillisecondsUntil(Transport::TimePoint deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int Clamp(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

}  // namespace

Transport::Transport(int fd, SslPtr ssl, const StopEvent& stop)
    : fd_(fd), ssl_(std::move(ssl)), stop_(stop) {
  if (ssl_) SSL_set_fd(ssl_.get(), fd_);
}

Transport::~Transport() { close(fd_); }

bool Transport::WaitFor(short events, TimePoint deadline) {
  bool stopping = stop_.set();
  if (stopping) deadline = std::min(deadline, steady_clock::now() + kStopGrace);
  for (;;) {
    std::array<pollfd, 2> wait{{{fd_, events, 0}, {stop_.fd(), POLLIN, 0}}};
    const int ready = poll(wait.data(), stopping ? 1 : 2, MillisecondsUntil(deadline));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0 && wait[0].revents != 0) return true;
    if (ready == 0) return false;
    if (ready > 0 && !stopping) {
      stopping = true;
      deadline = std::min(deadline, steady_clock::now() + kStopGrace);
    }
  }
}

bool Transport::Retry(int result, TimePoint deadline) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return WaitFor(POLLIN, deadline);
    case SSL_ERROR_WANT_WRITE:
      return WaitFor(POLLOUT, deadline);
    default:
      return false;
  }
}

bool Transport::Handshake(TimePoint deadline) {
  if (!ssl_) return true;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_accept(ssl_.get());
    if (result == 1) return true;
    if (!Retry(result, deadline)) return false;
  }
}

ssize_t Transport::Read(char* data, std::size_t size, TimePoint deadline) {
  for (;;) {
    if (ssl_) {
      ERR_clear_error();
      const int got = SSL_read(ssl_.get(), data, Clamp(size));
      if (got > 0) return got;
      if (SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN) return 0;
      if (!Retry(got, deadline)) return -1;
    } else {
      const ssize_t got = recv(fd_, data, size, 0);
      if (got >= 0) return got;
      if (!WouldBlock() || !WaitFor(POLLIN, deadline)) return -1;
    }
  }
}

bool Transport::WriteAll(std::string_view data, TimePoint deadline) {
  while (!data.empty()) {
    if (ssl_) {
      ERR_clear_error();
      const int sent = SSL_write(ssl_.get(), data.data(), Clamp(data.size()));
      if (sent > 0) {
        data.remove_prefix(static_cast<std::size_t>(sent));
      } else if (!Retry(sent, deadline)) {
        return false;
      }
    } else {
      const ssize_t sent = send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        data.remove_prefix(static_cast<std::size_t>(sent));
      } else if (!WouldBlock() || !WaitFor(POLLOUT, deadline)) {
        return false;
      }
    }
  }
  return true;
}

Transport::Idle Transport::WaitIdle(TimePoint deadline) {
  if (ssl_ && SSL_pending(ssl_.get()) > 0) return Idle::kReadable;
  for (;;) {
    std::array<pollfd, 2> wait{{{fd_, POLLIN, 0}, {stop_.fd(), POLLIN, 0}}};
    const int ready = poll(wait.data(), wait.size(), MillisecondsUntil(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready > 0 && wait[0].revents != 0) return Idle::kReadable;
    return ready == 0 ? Idle::kTimeout : Idle::kStopped;
  }
}

bool Transport::PeerIsThere() {
  char byte = 0;
  if (ssl_) {
    ERR_clear_error();
    const int got = SSL_peek(ssl_.get(), &byte, 1);
    if (got > 0) return true;
    const int error = SSL_get_error(ssl_.get(), got);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  }
  const ssize_t got = recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got > 0 || (got < 0 && WouldBlock());
}

void Transport::Close(bool linger) {
  if (ssl_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  shutdown(fd_, SHUT_WR);
  if (!linger) return;
  std::array<char, 16384> dropped;
  const TimePoint deadline = steady_clock::now() + std::chrono::seconds(1);
  for (std::size_t total = 0; total < (std::size_t{32} << 20);) {
    const ssize_t got = recv(fd_, dropped.data(), dropped.size(), 0);
    if (got == 0 || (got < 0 && (!WouldBlock() || !WaitFor(POLLIN, deadline)))) return;
    if (got > 0) total += static_cast<std::size_t>(got);
    if (steady_clock::now() > deadline) return;
  }
}

std::string Transport::ClientName() const {
  if (!ssl_ || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr) return {};
  std::array<char, 256> name{};
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               name.data(), name.size());
  return length > 0 ? std::string(name.data(), static_cast<std::size_t>(length)) : std::string();
}

}  // namespace tessera::http
