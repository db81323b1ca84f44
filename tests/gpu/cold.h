#pragma once

#include <cstddef>
#include <vector>

/// What a real driver does to the caches between two of our calls, for a driver that does nothing:
/// other memory and other code is run through, so that the library's is no longer near.
namespace cold {

constexpr std::size_t kLine = 64;
constexpr std::size_t kPage = 4096;
/// A driver's data lie about: so much of each page is touched.
constexpr std::size_t kLinesOfPage = 16;

/// 16 KiB of code without a branch, so that the predictor keeps what it knows.
template <int kNumber>
[[gnu::noinline]] void RunCode() {
#if defined(__x86_64__)
  asm volatile(".nops 16384" ::"i"(kNumber));
#else
  asm volatile(".rept 4096\n nop\n .endr" ::"i"(kNumber));
#endif
}

/// REQUIRES: one thread.
class Breeze {
 public:
  /// 0: none at all.
  explicit Breeze(std::size_t kib)
      : pages_(kib * 1024 / (kLinesOfPage * kLine)), memory_((pages_ + 1) * kPage, 1) {}
  /// So much memory, in lines that meet every set of the caches; as much code, up to 48 KiB, which
  /// is more than a core keeps nearest.
  void Blow() {
    std::size_t sum = 0;
    for (std::size_t page = 0; page < pages_; ++page) {
      for (std::size_t line = 0; line < kLinesOfPage; ++line) {
        const std::size_t place = (page * kLinesOfPage + line) % (kPage / kLine);
        sum += static_cast<std::size_t>(memory_[page * kPage + place * kLine]++);
      }
    }
    sum_ = sum;
    if (pages_ >= 16) RunCode<0>();
    if (pages_ >= 32) RunCode<1>();
    if (pages_ >= 48) RunCode<2>();
  }

 private:
  std::size_t pages_;
  std::vector<unsigned char> memory_;
  volatile std::size_t sum_ = 0;
};

}  // namespace cold
