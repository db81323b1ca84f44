#include "common/http/connection.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tessera::http {
namespace {

constexpr std::size_t kReadSize = 16384;
constexpr std::size_t kFlushSize = 65536;

}  // namespace

Transport::Idle Connection::WaitForRequest(std::chrono::seconds keep_alive) {
  if (in_used_ < in_.size()) return Transport::Idle::kReadable;
  return transport_.WaitIdle(std::chrono::steady_clock::now() + keep_alive);
}

void Connection::BeginHead() {
  in_head_ = true;
  head_too_large_ = false;
  head_bytes_ = 0;
  streaming_ = false;
  deadline_ = std::chrono::steady_clock::now() + kHeadTime;
}

void Connection::EndHead() {
  in_head_ = false;
  deadline_ = std::chrono::steady_clock::now() + kBodyTime;
}

bool Connection::Flush() {
  if (broken_) return false;
  if (out_.empty()) return true;
  broken_ = !transport_.WriteAll(out_, std::chrono::steady_clock::now() + kWriteTime);
  out_.clear();
  if (out_.capacity() > 4 * kFlushSize) out_.shrink_to_fit();
  return !broken_;
}

ssize_t Connection::read(char* data, std::size_t size) {
  if (in_used_ == in_.size()) {
    // The peer may be waiting for what we have (100 Continue) before it sends more.
    if (!Flush()) return -1;
    std::array<char, kReadSize> piece;
    const ssize_t got = transport_.Read(piece.data(), piece.size(), deadline_);
    if (got <= 0) return got;
    in_.assign(piece.data(), static_cast<std::size_t>(got));
    in_used_ = 0;
  }
  const std::size_t count = std::min(size, in_.size() - in_used_);
  if (in_head_) {
    head_bytes_ += count;
    if (head_bytes_ > kMaxHeadBytes) {
      head_too_large_ = true;
      return -1;
    }
  }
  std::memcpy(data, in_.data() + in_used_, count);
  in_used_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, std::size_t size) {
  if (broken_) return -1;
  out_.append(data, size);
  if ((streaming_ || out_.size() >= kFlushSize) && !Flush()) return -1;
  return static_cast<ssize_t>(size);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

}  // namespace tessera::http
