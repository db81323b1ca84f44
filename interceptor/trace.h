#pragma once

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tessera {

/// Keeps SIGPIPE from the guest while it lives: nobody may be reading its stderr, and our line must
/// not be what ends it.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigset_t pending;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigprocmask(SIG_BLOCK, &pipe_, &before_);  // of this thread alone, on Linux
  }
  ~NoSigpipe() {
    const timespec at_once = {};
    while (!was_pending_ && sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

/// One line for stderr, built on the stack and written at once: no lock, no allocation, usable in a
/// hook and after fork. What does not fit is cut off.
class Line {
 public:
  Line() { *this << "tessera: "; }
  Line& operator<<(std::string_view text) {
    const std::size_t room = sizeof(text_) - 1 - size_;
    const std::size_t take = text.size() < room ? text.size() : room;
    memcpy(text_ + size_, text.data(), take);
    size_ += take;
    return *this;
  }
  Line& operator<<(std::uint64_t value) {
    char digits[20];
    std::size_t at = sizeof(digits);
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    return *this << std::string_view(digits + at, sizeof(digits) - at);
  }
  void Write() {
    text_[size_++] = '\n';
    const NoSigpipe quiet;
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text_, size_);
  }

 private:
  char text_[512];
  std::size_t size_ = 0;
};

/// TESSERA_LOG=debug, read when the session starts.
bool Tracing();

}  // namespace tessera
