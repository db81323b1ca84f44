#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

#include "common/http/stop_event.h"

namespace tessera::http {

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslDeleter>;

/// Bytes over a connected non-blocking socket, plain or TLS, with a deadline on each wait. Once the
/// server stops, waits end within kStopGrace. Closes the socket. One thread only.
class Transport {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kStopGrace{2};

  /// `ssl` null: plain.
  Transport(int fd, SslPtr ssl, const StopEvent& stop);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// The server's side of a TLS handshake; true at once for a plain socket.
  bool Handshake(TimePoint deadline);
  /// Bytes read; 0 when the peer has ended, negative on error, time-out or stop.
  ssize_t Read(char* data, std::size_t size, TimePoint deadline);
  bool WriteAll(std::string_view data, TimePoint deadline);

  enum class Idle { kReadable, kTimeout, kStopped };
  /// Waits without reading; bytes that TLS holds already count as readable. Does not poll.
  Idle WaitIdle(TimePoint deadline);
  /// False once the peer has closed or reset the connection. Never waits.
  bool PeerIsThere();
  /// Tells the peer that nothing more comes, and drops what it still sends for a moment, so that it
  /// can read the last answer before the connection is reset.
  void Close(bool linger);

  int fd() const { return fd_; }
  /// Common name of the verified client certificate; empty without one.
  std::string ClientName() const;

 private:
  bool WaitFor(short events, TimePoint deadline);
  /// Waits as the failed SSL call asks. False: give up.
  bool Retry(int result, TimePoint deadline);

  const int fd_;
  const SslPtr ssl_;
  const StopEvent& stop_;
};

}  // namespace tessera::http
