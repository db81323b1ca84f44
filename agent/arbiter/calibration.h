#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>

#include "agent/arbiter/arbiter.h"
#include "agent/arbiter/busy_sample.h"

namespace tessera::agent {

/// What part of the time that containers count as use of a GPU is work of the GPU. A container
/// counts while its launches are under way, which for short kernels is some microseconds longer
/// than the GPU works; NVML says how long it worked, but for all together, and each fifth of a
/// second. So of each such stretch of time what all counted too much is divided by their launches,
/// and no launch is given more than it can have cost: where two keep the GPU busy side by side,
/// each counts the time of both, which is not to be corrected. A launch behind others that wait for
/// the GPU is given less, since the GPU went from one to the next. With open gates containers also
/// count time of others, with windows they do not, so each is learned by itself. Pure.
/// Thread-compatible.
class Calibration {
 public:
  struct Count {
    std::uint64_t key = 0;  ///< no two are equal
    std::uint64_t used_ns = 0;
    std::uint64_t launches = 0;          ///< that ended while it was counted; 0: it does not tell
    std::uint64_t shallow_launches = 0;  ///< of those, not behind others of its own
  };
  /// What containers had counted at `now_ns`. `windows`: there were since the last look. REQUIRES:
  /// now_ns never goes back.
  void Look(std::uint64_t now_ns, std::span<const Count> counts, bool windows);

  /// Samples may come late by half a second; of what is older than a second nothing is known. Each
  /// begins where the one before ended, or later.
  void Take(const BusySample& sample);

  /// What the container is told from now on (region::Grant::work_permille): kAllWork while nothing
  /// else is known, and where no sample has come for two seconds. `windows`: there are from now on.
  std::uint32_t Tell(std::uint64_t key, bool windows);

  /// What the container has counted, ever since it was seen first, as if it had been told nothing.
  std::uint64_t CountedNs(std::uint64_t key) const;

  /// False: the GPU was told to have had time left throughout the last second.
  bool MayBeFull(std::uint64_t now_ns) const;

 private:
  /// Without a correction that we told.
  struct Use {
    double counted_ns = 0;
    double launches = 0;
    double parts = 0;  ///< that they have in what all counted too much
  };
  /// Ever, by then.
  struct Point {
    std::uint64_t at_ns = 0;
    Use use;
  };
  /// What was learned of a container.
  class Lesson {
   public:
    /// Of what it counted in a sample of that length, `part` was work.
    void Take(double counted, double part, double length_ns);
    std::uint32_t permille() const { return permille_; }

   private:
    double counted_ns_ = 0;  ///< of the samples so far, the old ones fading
    double worked_ns_ = 0;   ///< likewise
    std::uint32_t permille_ = region::kAllWork;
    bool said_more_ = false;  ///< the last sample, much more than was learned
  };
  struct Tenant {
    std::uint64_t used_ns = 0;           ///< at the last look
    std::uint64_t launches = 0;          ///< likewise
    std::uint64_t shallow_launches = 0;  ///< likewise
    std::deque<Point> points;            ///< of the last second
    Lesson open;
    Lesson windows;
    std::uint32_t told_permille = region::kAllWork;
    bool seen = false;

    Use Between(std::uint64_t from_ns, std::uint64_t to_ns) const;
    Use Until(std::uint64_t at_ns) const;
    void Add(std::uint64_t now_ns, const Count& count, bool is_new);
  };

  void Settle();
  void Learn(const BusySample& sample);
  void Divide(const BusySample& sample);

  std::map<std::uint64_t, Tenant> tenants_;
  std::deque<BusySample> samples_;  ///< that end after the last look
  std::uint64_t last_look_ns_ = 0;
  bool windows_ = false;            ///< since same_from_ns_
  std::uint64_t same_from_ns_ = 0;  ///< without a break
  std::uint64_t last_sample_ns_ = 0;
  std::uint64_t told_until_ns_ = 0;  ///< so long the samples say something about now
  std::uint64_t full_until_ns_ = 0;  ///< and that it is full
};

}  // namespace tessera::agent
