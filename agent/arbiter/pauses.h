#pragma once

#include <cstdint>

namespace tessera::agent {

/// How one container works and pauses by turns, as far as windows go: whether the GPU is worth
/// handing over as soon as it has nothing to do, whether it may be back any moment, and whether
/// what it comes for is so little that a window is not worth while. Pure. Thread-compatible. Times
/// in nanoseconds that never go back.
class Pauses {
 public:
  /// Its window opens.
  void Open(std::uint64_t now_ns);
  /// In its window: whether it has something to do.
  void Look(std::uint64_t now_ns, bool active);
  /// Its window ends because it has had nothing to do.
  void GiveUp();
  /// Its window ends all the same.
  void CutShort(std::uint64_t now_ns);
  /// It wants again. Nothing happens if it has not given anything up.
  void Return(std::uint64_t now_ns);
  /// With open gates, where the hardware slices among so many: whether it runs. REQUIRES: looks
  /// come each millisecond or so, where they come.
  void LookSliced(std::uint64_t now_ns, bool running, unsigned among);
  /// It neither wants nor runs.
  void WantNothing() { woke_ = false; }

  /// In its window: since when it has had nothing to do; 0: it has.
  std::uint64_t quiet_since_ns() const { return quiet_since_ns_; }
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
  void Worked(std::uint64_t until_ns);

  std::uint64_t work_from_ns_ = 0;  ///< in its window: when what it does now began
  std::uint64_t quiet_since_ns_ = 0;
  std::uint64_t sliced_from_ns_ = 0;  ///< with slices: when what runs now began; 0: nothing does
  std::uint64_t last_sliced_ns_ = 0;  ///< the last look with slices
  std::uint64_t away_since_ns_ = 0;  ///< 0: it has given nothing up
  unsigned long_ones_ = 0;           ///< pauses in a row; no more than are asked for
  unsigned brief_works_ = 0;         ///< likewise
  std::uint64_t worked_ns_ = 0;      ///< when the last of them ended
  bool woke_ = false;
};

}  // namespace tessera::agent
