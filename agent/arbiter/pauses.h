#pragma once

#include <cstdint>

namespace tessera::agent {

/// How one container works and pauses by turns, as far as windows go: whether the GPU is worth
/// handing over as soon as it has nothing to do, whether it may be back any moment, and whether
/// what it comes for is so little that a window is not worth while. Pure. Thread-compatible. Times
/// in nanoseconds that never go back.
class Pauses {
 public:
  /// In its window it has done one piece of work.
  void Worked(std::uint64_t from_ns, std::uint64_t to_ns);
  /// It has given its window up: since then it has had nothing to do.
  void Begin(std::uint64_t since_ns);
  /// It wants again. Nothing happens if it was not away.
  void End(std::uint64_t now_ns);
  /// It went on before its window was given up.
  void TooShort() { long_ones_ = 0; }
  /// Its window ended before the work did that it had begun then.
  void CutShort(std::uint64_t from_ns, std::uint64_t to_ns);
  /// It has a window, or wants none.
  void Served() { woke_ = false; }

  /// It wants the window back that it had given up: others who run meanwhile are to make room. Who
  /// lost its window because the time was over waits for its turn.
  bool woke() const { return woke_; }
  /// Its last pauses were all so long that others could have worked for a while.
  bool AreLong() const;
  /// What it has lately come for was done in less time than the hardware's slices and ours differ
  /// by.
  bool WorkIsBrief(std::uint64_t now_ns) const;
  /// It has given its window up not long ago, and may want it back any moment.
  bool MayEndSoon(std::uint64_t now_ns) const;

 private:
  std::uint64_t since_ns_ = 0;  ///< 0: it does not pause
  unsigned long_ones_ = 0;      ///< in a row; no more than are asked for
  unsigned brief_works_ = 0;    ///< likewise
  std::uint64_t worked_ns_ = 0;  ///< when the last of them ended
  bool woke_ = false;
};

}  // namespace tessera::agent
