#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace tessera::http {

/// "The server stops", as a flag and as a descriptor that poll(2) can wait for. Thread-safe.
class StopEvent {
 public:
  StopEvent() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~StopEvent() {
    if (fd_ >= 0) close(fd_);
  }
  StopEvent(const StopEvent&) = delete;
  StopEvent& operator=(const StopEvent&) = delete;

  void Set() {
    set_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
  }
  bool set() const { return set_; }
  int fd() const { return fd_; }  ///< readable once set, and from then on

 private:
  std::atomic<bool> set_{false};
  const int fd_;
};

}  // namespace tessera::http
