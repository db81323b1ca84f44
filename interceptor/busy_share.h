#pragma once

#include <cstdint>

namespace tessera {

/// How much of the time the GPU is at work for a program that does not keep it busy: one that
/// launches short kernels with gaps of microseconds, of which no single one can be seen. The driver
/// is asked at random moments whether all work has ended; how long it takes to say so tells whether
/// there was any. Where waits are exponentially distributed, each question that finds work stands
/// for one mean wait of work, whatever the wait was: a single one is far off, some hundred of them
/// are exact. Pure. Thread-compatible.
class BusyShare {
 public:
  struct Question {
    std::uint64_t waited_ns = 0;     ///< since the last answer
    std::uint64_t mean_wait_ns = 0;  ///< of waits like that one; 0: it was chosen, not drawn
    std::uint64_t took_ns = 0;       ///< the driver, to answer
  };
  struct Work {
    bool goes_on = false;         ///< some was under way at the question, and ended with the answer
    std::uint64_t before_ns = 0;  ///< GPU time in the wait before the question
  };
  Work Take(const Question& question);

 private:
  bool FindsWork(std::uint64_t took_ns);
  double PartOfWork() const;

  double busy_ = 1;          ///< part of the time, lately
  double remaining_ns_ = 0;  ///< of the work that was under way, mean; 0: not known
  double at_once_ns_ = 0;    ///< what an answer takes at the least; 0: not known
};

}  // namespace tessera
