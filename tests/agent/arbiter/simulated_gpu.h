#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "agent/arbiter/arbiter.h"
#include "agent/arbiter/calibration.h"
#include "agent/arbiter/pressure.h"
#include "tests/agent/arbiter/simulated_container.h"

/// A GPU, its containers and the arbiter, in virtual time: nothing here waits.
namespace tessera::agent::test {

/// How the GPU serves what overlaps: whoever has it keeps it for a slice while others have work, or
/// until he has none, and the GPU idles while it turns to another. 0: at the same time, each at its
/// part of the speed.
struct Slices {
  std::uint64_t length_ns = 0;
  std::uint64_t switch_ns = 0;
};

/// All of it.
class SimulatedGpu {
 public:
  explicit SimulatedGpu(const std::vector<Habits>& habits, unsigned seed = 1, Slices slices = {})
      : random_(seed), slices_(slices) {
    for (const Habits& one : habits) containers_.emplace_back(containers_.size() + 1, one);
    pressures_.resize(habits.size());
  }

  /// Nobody's gate is ever closed.
  void WithoutArbiter() { arbitrated_ = false; }
  /// From now on the arbiter hears how busy the GPU is.
  void TellBusy() { told_ns_ = now_ns_; }

  /// `watch` is called after each step of the arbiter.
  template <typename Watch>
  void Run(std::uint64_t ns, Watch watch) {
    for (const std::uint64_t end = now_ns_ + ns; now_ns_ < end; now_ns_ += kTickNs) {
      for (Container& container : containers_) container.Tick(now_ns_);
      Execute();
      if (now_ns_ < wake_ns_) continue;
      Step();
      watch(*this);
    }
  }
  void Run(std::uint64_t ns) {
    Run(ns, [](const SimulatedGpu&) {});
  }

  std::uint64_t now_ns() const { return now_ns_; }
  const Arbiter& arbiter() const { return arbiter_; }
  const std::vector<Container>& containers() const { return containers_; }
  const std::vector<TenantSeen>& seen() const { return seen_; }
  const std::vector<TenantGrant>& grants() const { return grants_; }
  /// Percent of `ns` that a container, or all of them, had the GPU.
  double Share(std::size_t i, std::uint64_t ns) const {
    return 100.0 * static_cast<double>(containers_[i].used_ns()) / static_cast<double>(ns);
  }
  /// The longest time in which the GPU had nothing to do although somebody waited.
  std::uint64_t longest_waste_ns() const { return longest_waste_ns_; }
  double Total(std::uint64_t ns) const {
    double sum = 0;
    for (std::size_t i = 0; i < containers_.size(); ++i) sum += Share(i, ns);
    return sum;
  }

 private:
  void Execute() {
    const auto busy = static_cast<std::uint64_t>(
        std::count_if(containers_.begin(), containers_.end(),
                      [](const Container& container) { return container.HasWork(); }));
    const bool wasted =
        busy == 0 && std::any_of(containers_.begin(), containers_.end(), [&](const auto& one) {
          return one.wants() && now_ns_ < one.habits().stops_at_ns;
        });
    busy_ns_ += busy != 0 ? kTickNs : 0;
    waste_ns_ = wasted ? waste_ns_ + kTickNs : 0;
    longest_waste_ns_ = std::max(longest_waste_ns_, waste_ns_);
    if (slices_.length_ns != 0) return busy != 0 ? Slice() : void();
    for (Container& container : containers_) {
      if (container.HasWork()) container.Work(kTickNs / busy);
    }
  }

  /// Somebody has work.
  void Slice() {
    if (!containers_[turn_].HasWork() || turn_left_ns_ == 0) {
      const std::size_t before = turn_;
      do {
        turn_ = (turn_ + 1) % containers_.size();
      } while (!containers_[turn_].HasWork());
      turn_left_ns_ = slices_.length_ns;
      switching_ns_ = turn_ != before ? slices_.switch_ns : 0;
    }
    if (switching_ns_ > 0) {
      switching_ns_ -= std::min(switching_ns_, kTickNs);
      return;
    }
    turn_left_ns_ -= std::min(turn_left_ns_, kTickNs);
    containers_[turn_].Work(kTickNs);
  }

  void Step() {
    if (!arbitrated_) {
      for (Container& container : containers_) {
        container.Tell({.open_until_ns = region::kOpenForAll});
      }
      wake_ns_ = now_ns_ + kSecond;
      return;
    }
    Look();
    grants_ = arbiter_.Step(now_ns_, seen_);
    const bool windows = arbiter_.mode() == ArbiterMode::kWindows;
    for (std::size_t i = 0; i < containers_.size(); ++i) {
      grants_[i].work_permille = calibration_.Tell(containers_[i].key(), windows);
      containers_[i].Tell(grants_[i]);
    }
    // A thread wakes up some tens of microseconds late.
    const std::uint64_t late = std::uniform_int_distribution<std::uint64_t>(10, 80)(random_) * kUs;
    wake_ns_ = std::max(arbiter_.look_at_ns() + late, now_ns_ + kTickNs);
  }

  /// As ArbiterThread::Look.
  void Look() {
    const ArbiterMode mode = arbiter_.mode();
    std::vector<Calibration::Count> counts;
    for (const Container& one : containers_) {
      counts.push_back({one.key(), one.counted_ns(), one.launches(), one.shallow_launches()});
    }
    calibration_.Look(now_ns_, counts, mode == ArbiterMode::kWindows);
    seen_.clear();
    for (std::size_t i = 0; i < containers_.size(); ++i) {
      TenantSeen seen = containers_[i].Seen();
      seen.presses =
          pressures_[i].Take({.now_ns = now_ns_,
                              .used_ns = calibration_.CountedNs(seen.key),
                              .throttled_ns = containers_[i].throttled_ns(),
                              .running = seen.running,
                              .waiting = containers_[i].waits() || (seen.wanting && !seen.running),
                              .held = containers_[i].held(),
                              .full = calibration_.MayBeFull(now_ns_),
                              .counted = mode != ArbiterMode::kFree});
      seen.occupies_permille = pressures_[i].occupies_permille();
      seen_.push_back(seen);
    }
    if (told_ns_ == 0 || now_ns_ < told_ns_ + 200 * kMs) return;
    const std::uint64_t percent = 100 * busy_ns_ / (now_ns_ - told_ns_);
    calibration_.Take({told_ns_, now_ns_, static_cast<std::uint32_t>(10 * percent + 5)});
    told_ns_ = now_ns_;
    busy_ns_ = 0;
  }

  std::mt19937 random_;
  const Slices slices_;
  std::size_t turn_ = 0;            ///< whose slice it is
  std::uint64_t turn_left_ns_ = 0;  ///< of it
  std::uint64_t switching_ns_ = 0;  ///< until it begins
  bool arbitrated_ = true;
  Arbiter arbiter_;
  Calibration calibration_;
  std::vector<Pressure> pressures_;
  std::uint64_t told_ns_ = 0;  ///< until then; 0: nobody tells
  std::uint64_t busy_ns_ = 0;  ///< since then
  std::vector<Container> containers_;
  std::vector<TenantSeen> seen_;
  std::vector<TenantGrant> grants_;
  std::uint64_t now_ns_ = kSecond;
  std::uint64_t wake_ns_ = 0;
  std::uint64_t waste_ns_ = 0;
  std::uint64_t longest_waste_ns_ = 0;
};

}  // namespace tessera::agent::test
