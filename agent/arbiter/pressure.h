#pragma once

#include <cstdint>

namespace tessera::agent {

/// Whether a container keeps the GPU busy for as long as it may use it. Then what it gets depends
/// on who else is there, and so does what it leaves to them. One that waits for its CPU in between
/// is satisfied with what it has. On a GPU that has time left nobody is busy for lack of it: there
/// only those press whom their own share holds, because beside others they would count the others'
/// time too. Of whom nothing is known yet, it is taken for granted. Told by what the container
/// counts as use (region::Pace), of the time in which neither the agent nor its own share held it.
/// Who tells of less use than he has is treated as one that is satisfied; those whom he presses
/// then press themselves, because their own work is always under way. Pure. Thread-compatible.
class Pressure {
 public:
  struct Look {
    std::uint64_t now_ns = 0;
    std::uint64_t used_ns = 0;  ///< as the container counts it by itself, ever
    /// Its processes waited for a window or its own share, and go on: the sum of all.
    std::uint64_t throttled_ns = 0;
    bool running = false;
    bool waiting = false;  ///< for one of them, and nothing runs
    bool held = false;     ///< for its own share, and nothing runs
    bool full = true;      ///< the GPU, as far as anybody knows
    bool counted = true;   ///< false: its gate is open without an end, so nobody counts
  };
  /// REQUIRES: now_ns never goes back. Returns presses().
  bool Take(const Look& look);
  bool presses() const { return presses_; }
  /// So much of the time, over the last half second or so, its work was under way: as it counts, or
  /// as looks saw it run, whichever is more. All of it while nothing is known.
  std::uint32_t occupies_permille() const;

 private:
  void Restart(const Look& look);
  void Judge(const Look& look);
  void Remember(std::uint64_t used_ns, std::uint64_t passed_ns);

  bool presses_ = true;
  bool begun_ = false;
  std::uint64_t last_ns_ = 0;       ///< the last look
  std::uint64_t last_used_ns_ = 0;  ///< then
  Look base_;                       ///< at the beginning of the period
  std::uint64_t free_ns_ = 0;       ///< of the period: it did not wait, as looks saw it
  std::uint64_t held_ns_ = 0;       ///< likewise
  std::uint64_t longest_ns_ = 0;    ///< likewise: between two looks
  std::uint64_t ran_ns_ = 0;        ///< likewise: it ran
  double known_ = 0;                ///< how much of what follows is not from before we looked
  double counted_part_ = 0;         ///< of the time, lately, times known_
  double ran_part_ = 0;             ///< likewise
  std::uint64_t endless_ns_ = 0;    ///< so long it has run, and counted nothing
  bool always_ran_ = true;          ///< likewise
};

}  // namespace tessera::agent
