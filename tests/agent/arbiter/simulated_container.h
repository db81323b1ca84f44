#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "agent/arbiter/tenant.h"
#include "interceptor/region/grant.h"

/// A container as libtessera.so has it behave, in virtual time. One tick is kTickNs.
namespace tessera::agent::test {

inline constexpr std::uint64_t kTickNs = 10'000;
inline constexpr std::uint64_t kUs = 1'000;
inline constexpr std::uint64_t kMs = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

/// What a container's program does, and how its gate answers.
struct Habits {
  region::Policy policy = region::Policy::kBurstShare;
  int percent = 0;
  std::uint64_t kernel_ns = 500 * kUs;
  /// From a launch until the GPU works on it; it counts as use, as far as the gate can tell.
  std::uint64_t launch_ns = 0;
  /// 0: launches without end. Else one kernel each so often.
  std::uint64_t period_ns = 0;
  /// And makes up for none that it could not launch in time.
  bool loses_time = false;
  /// Waits for each kernel and then thinks so long; 0: does not wait.
  std::uint64_t think_ns = 0;
  /// From then on its kernels and thoughts are so long instead; 0: never.
  std::uint64_t becomes_ns = 0;
  std::uint64_t then_kernel_ns = 0;
  std::uint64_t then_think_ns = 0;
  std::uint64_t from_ns = 0;
  std::uint64_t to_ns = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t sync_delay_ns = 40 * kUs;  ///< until the gate's thread knows that work has ended
  std::uint64_t stops_at_ns = std::numeric_limits<std::uint64_t>::max();  ///< SIGSTOP
  std::uint64_t goes_on_at_ns = std::numeric_limits<std::uint64_t>::max();
  /// fixed-share: keeps `percent` of the time by itself, as region/pace.h has it.
  bool caps_itself = false;
  bool always_running = false;  ///< lies
  bool always_wanting = false;
  bool never_running = false;
  bool counts_nothing = false;
  bool tells_launches = false;   ///< though it never says that it runs
  std::uint64_t lingers_ns = 0;  ///< says that it runs for so long after its work
};

/// The container: its program, its gate, its part of the GPU's queue.
class Container {
 public:
  Container(std::uint64_t key, const Habits& habits) : key_(key), habits_(habits) {
    next_launch_ns_ = habits.from_ns;
  }

  TenantSeen Seen() const {
    return {.key = key_,
            .policy = habits_.policy,
            .percent = habits_.percent,
            .attached = now_ns_ >= habits_.from_ns,
            .wanting = wanting_ || habits_.always_wanting,
            .running = (running_ || habits_.always_running) && !habits_.never_running,
            .launches = habits_.never_running && !habits_.tells_launches ? 0 : launches_};
  }
  /// As its gate counts: while its work is under way.
  std::uint64_t counted_ns() const { return static_cast<std::uint64_t>(counted_ns_); }
  std::uint64_t launches() const { return launches_; }
  /// Of these, with little more queued, as the gate's thread sees it.
  std::uint64_t shallow_launches() const { return shallow_launches_; }
  /// Told when it goes on.
  std::uint64_t throttled_ns() const { return throttled_ns_; }
  bool held() const { return held_ && !running_; }
  bool waits() const { return (wanting_ || held_) && !running_; }

  void Tell(const TenantGrant& grant) { grant_ = grant; }

  void Tick(std::uint64_t now_ns) {
    now_ns_ = now_ns;
    if (now_ns < habits_.from_ns) return;
    if (habits_.becomes_ns != 0 && now_ns >= habits_.becomes_ns) {
      habits_.kernel_ns = habits_.then_kernel_ns;
      habits_.think_ns = habits_.then_think_ns;
    }
    if (now_ns >= habits_.stops_at_ns && now_ns < habits_.goes_on_at_ns) return;
    Launch();
    Gate();
    if (waits()) waited_ns_ += kTickNs;
    const bool counts = !queue_.empty() && !habits_.counts_nothing;
    if (counts) counted_ns_ += 1e-3 * kTickNs * grant_.work_permille;
  }
  bool HasWork() const { return !queue_.empty() && queue_.front().ready_ns <= now_ns_; }
  /// The GPU was at work for it for `ns`.
  void Work(std::uint64_t ns) {
    used_ns_ += ns;
    while (ns > 0 && !queue_.empty()) {
      const std::uint64_t part = std::min(ns, queue_.front().left_ns);
      queue_.front().left_ns -= part;
      ns -= part;
      if (queue_.front().left_ns > 0) continue;
      latencies_ns_.push_back(now_ns_ - queue_.front().wanted_ns);
      if (queue_.size() * habits_.kernel_ns < 300 * kUs) ++shallow_launches_;
      queue_.pop_front();
      ++launches_;
      idle_since_ns_ = now_ns_;
    }
    used_ns_ -= ns;
  }
  std::uint64_t used_ns() const { return used_ns_; }
  const std::vector<std::uint64_t>& latencies_ns() const { return latencies_ns_; }
  bool wants() const { return wanting_; }
  std::uint64_t key() const { return key_; }
  const Habits& habits() const { return habits_; }
  const TenantGrant& grant() const { return grant_; }

 private:
  struct Kernel {
    std::uint64_t left_ns;
    std::uint64_t wanted_ns;
    std::uint64_t ready_ns;
  };

  void Launch() {
    const bool endless = habits_.period_ns == 0 && habits_.think_ns == 0;
    if (now_ns_ >= habits_.to_ns) return;
    if (endless) {
      if (pending_.empty()) pending_.push_back(now_ns_);
    } else if (habits_.period_ns != 0) {
      const bool late = habits_.loses_time && !pending_.empty();
      if (late) next_launch_ns_ = now_ns_ + habits_.period_ns;
      if (now_ns_ < next_launch_ns_) return;
      pending_.push_back(now_ns_);
      next_launch_ns_ += habits_.period_ns;
    } else if (pending_.empty() && queue_.empty() && now_ns_ >= idle_since_ns_ + habits_.think_ns) {
      pending_.push_back(now_ns_);
    }
  }

  void Gate() {
    if (now_ns_ < next_poll_ns_) return;
    const bool open = now_ns_ < grant_.open_until_ns;
    if (open && HasCredit() && (!pending_.empty() || credit_ns_ > 0)) {
      LetThrough();
    } else if (running_ && queue_.empty()) {
      Rest(open);
    }
    if (!open) credit_ns_ = 0;
    wanting_ = !open && !pending_.empty() && HasCredit();
    held_ = !pending_.empty() && !HasCredit();
    if (!open && !running_) {
      next_poll_ns_ = std::clamp(grant_.likely_open_ns, now_ns_ + 100 * kUs, now_ns_ + kMs);
    }
  }

  /// Turns of 10 ms of the GPU, and pauses that pay for them.
  bool HasCredit() {
    if (!habits_.caps_itself) return true;
    const std::uint64_t since = std::max(habits_.from_ns, kSecond);
    const std::uint64_t paid_ns = (now_ns_ - since) * static_cast<unsigned>(habits_.percent) / 100;
    const std::uint64_t taken_ns = counted_ns() + queue_.size() * habits_.kernel_ns;
    if (taken_ns >= paid_ns) in_turn_ = false;
    if (taken_ns + 10 * kMs <= paid_ns) in_turn_ = true;
    return in_turn_;
  }

  /// A round of 4 ms; a further one shortly before its work has ended.
  void LetThrough() {
    const std::uint64_t queued = queue_.size() * habits_.kernel_ns;
    if (queued <= std::max(kMs, habits_.kernel_ns)) {
      const std::uint64_t window = std::min(kSecond, grant_.open_until_ns - now_ns_) + kMs;
      credit_ns_ =
          static_cast<std::int64_t>(window > queued ? std::min(4 * kMs, window - queued) : 0);
    }
    while (!pending_.empty() && credit_ns_ > 0) {
      throttled_ns_ += std::exchange(waited_ns_, 0);
      running_ = true;
      queue_.push_back({habits_.kernel_ns, pending_.front(), now_ns_ + habits_.launch_ns});
      credit_ns_ -= static_cast<std::int64_t>(habits_.kernel_ns);
      pending_.pop_front();
      const bool endless = habits_.period_ns == 0 && habits_.think_ns == 0;
      if (endless && now_ns_ < habits_.to_ns) pending_.push_back(now_ns_);
    }
    if (queue_.empty()) Rest(true);
  }

  void Rest(bool open) {
    const std::uint64_t until = idle_since_ns_ + habits_.sync_delay_ns + habits_.lingers_ns;
    if (now_ns_ >= until + (open ? 200 * kUs : 0)) running_ = false;
    if (!running_) credit_ns_ = 0;
  }

  std::uint64_t key_;
  Habits habits_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t next_launch_ns_ = 0;
  std::uint64_t next_poll_ns_ = 0;
  std::uint64_t idle_since_ns_ = 0;
  std::deque<std::uint64_t> pending_;  ///< launches that wait, by when they were wanted
  std::deque<Kernel> queue_;           ///< let through
  std::int64_t credit_ns_ = 0;
  bool wanting_ = false;
  bool held_ = false;
  bool running_ = false;
  bool in_turn_ = false;
  TenantGrant grant_;
  std::uint64_t used_ns_ = 0;
  double counted_ns_ = 0;
  std::uint64_t launches_ = 0;
  std::uint64_t shallow_launches_ = 0;
  std::uint64_t waited_ns_ = 0;
  std::uint64_t throttled_ns_ = 0;
  std::vector<std::uint64_t> latencies_ns_;
};

}  // namespace tessera::agent::test
