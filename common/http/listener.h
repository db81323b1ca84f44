#pragma once

#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/http/stop_event.h"

namespace tessera::http {

/// A listening TCP socket. One thread only; the stop event may come from another.
class Listener {
 public:
  /// Errors: kUnavailable (address in use), kInvalidArgument (no such address).
  static Result<Listener> Open(const std::string& address, int port);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int port() const { return port_; }
  /// Hands over each new connection (non-blocking, TCP_NODELAY) until `stop`. Survives running out
  /// of descriptors.
  void Run(const StopEvent& stop, const std::function<void(int fd)>& on_connection);

 private:
  Listener(int fd, int port) : fd_(fd), port_(port) {}
  int fd_;
  int port_;
};

}  // namespace tessera::http
