#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tessera {

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
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text_, size_);
  }

 private:
  char text_[512];
  std::size_t size_ = 0;
};

/// TESSERA_LOG=debug, read when the session starts.
bool Tracing();

}  // namespace tessera
