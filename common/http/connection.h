#pragma once

#include <httplib.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "common/http/transport.h"

namespace tessera::http {

/// A transport as cpp-httplib wants to see it: buffered both ways, so that an answer leaves in one
/// write, with bounds on the size of a request's head and on the time that reading and writing may
/// take. One thread only.
class Connection final : public httplib::Stream {
 public:
  static constexpr std::size_t kMaxHeadBytes = std::size_t{64} << 10;
  static constexpr std::chrono::seconds kHeadTime{10};
  static constexpr std::chrono::seconds kBodyTime{30};
  static constexpr std::chrono::seconds kWriteTime{30};

  explicit Connection(Transport& transport) : transport_(transport) {}

  /// Waits for the first byte of a request.
  Transport::Idle WaitForRequest(std::chrono::seconds keep_alive);
  void BeginHead();
  void EndHead();
  bool head_too_large() const { return head_too_large_; }
  /// Sends what has been written. False once the peer has gone; stays so.
  bool Flush();
  /// Nothing more is sent, not even what has been written.
  void Abandon() { broken_ = true; }
  /// Until the next head each write is sent at once.
  void SetStreaming() { streaming_ = true; }
  Transport& transport() { return transport_; }

  bool is_readable() const override { return true; }
  bool is_writable() const override { return !broken_; }
  ssize_t read(char* data, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return transport_.fd(); }

 private:
  Transport& transport_;
  std::string in_;
  std::size_t in_used_ = 0;
  std::string out_;
  Transport::TimePoint deadline_;
  bool in_head_ = true;
  bool head_too_large_ = false;
  std::size_t head_bytes_ = 0;
  bool streaming_ = false;
  bool broken_ = false;
};

}  // namespace tessera::http
