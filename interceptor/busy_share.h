#pragma once

#include <cstdint>

namespace tessera {

/// How much of the time the GPU is at work for a program that does not keep it busy: one that
/// launches short kernels with gaps of microseconds, of which no single one can be seen. The driver
/// is asked at random moments whether all work has ended; how long it takes to say so tells whether
/// there was any. Pure. Thread-compatible.
class BusyShare {
 public:
  /// The driver was asked `waited_ns` after its last answer, at a moment that has nothing to do
  /// with what the program does, and took `took_ns` to answer. Returns whether work was under way.
  bool Take(std::uint64_t waited_ns, std::uint64_t took_ns);

  /// Of the time between an answer and the next question, over some hundredths of a second: 0 to
  /// 1000.
  std::uint32_t permille() const;

 private:
  double busy_ = 1;          ///< part of the time
  double remaining_ns_ = 0;  ///< of the work that was under way, mean; 0: not known
  double at_once_ns_ = 0;    ///< what an answer takes at the least; 0: not known
};

}  // namespace tessera
