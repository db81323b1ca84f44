// What holds whatever containers do: random ones, in simulated time.
#include <gmock/gmock.h>

#include "tests/agent/arbiter/simulated_gpu.h"

namespace tessera::agent::test {
namespace {

constexpr std::uint64_t kRun = 6 * kSecond;

/// Watches each step of the arbiter.
class Witness {
 public:
  explicit Witness(std::size_t count)
      : last_open_ns_(count), wants_since_ns_(count), was_open_(count) {}

  void Look(const SimulatedGpu& gpu) {
    const std::uint64_t now = gpu.now_ns();
    const bool windows = gpu.arbiter().mode() == ArbiterMode::kWindows;
    int open = 0;
    for (std::size_t i = 0; i < gpu.seen().size(); ++i) {
      const TenantGrant& grant = gpu.grants()[i];
      const bool is_open = now < grant.open_until_ns;
      open += is_open ? 1 : 0;
      if (windows && is_open && !was_open_[i]) Opens(gpu, i);
      if (is_open) last_open_ns_[i] = now;
      was_open_[i] = is_open;
      Waits(gpu, i);
    }
    EXPECT_TRUE(!windows || open <= 1) << now;
    ASSERT_GT(gpu.arbiter().look_at_ns() + kTickNs, now);
    ASSERT_LE(gpu.arbiter().look_at_ns(), now + 25 * kMs);
  }
  std::uint64_t longest_wait_ns() const { return longest_wait_ns_; }

 private:
  void Opens(const SimulatedGpu& gpu, std::size_t i) {
    for (std::size_t j = 0; j < gpu.seen().size(); ++j) {
      const TenantSeen& other = gpu.seen()[j];
      if (i == j || !other.attached) continue;
      if (other.running) {
        // A window's end may lie up to one look before we saw it closed.
        EXPECT_GE(gpu.now_ns() - last_open_ns_[j], kPatienceNs - 2 * kMs) << i << " beside " << j;
      }
      const bool first = other.policy != region::Policy::kBestEffort;
      const bool best_effort = gpu.seen()[i].policy == region::Policy::kBestEffort;
      const Habits& habits = gpu.containers()[j].habits();
      const bool honest = habits.stops_at_ns > gpu.now_ns();
      EXPECT_FALSE(best_effort && first && honest && other.wanting && !other.running)
          << i << " of best-effort before " << j;
    }
  }
  void Waits(const SimulatedGpu& gpu, std::size_t i) {
    const TenantSeen& one = gpu.seen()[i];
    const bool honest = gpu.containers()[i].habits().stops_at_ns > gpu.now_ns();
    if (!one.wanting || one.running || !honest || one.policy == region::Policy::kBestEffort) {
      wants_since_ns_[i] = gpu.now_ns();
    }
    longest_wait_ns_ = std::max(longest_wait_ns_, gpu.now_ns() - wants_since_ns_[i]);
  }

  std::vector<std::uint64_t> last_open_ns_;
  std::vector<std::uint64_t> wants_since_ns_;
  std::vector<bool> was_open_;
  std::uint64_t longest_wait_ns_ = 0;
};

Habits RandomHabits(std::mt19937& random) {
  const auto pick = [&](std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
  };
  Habits habits;
  habits.policy = static_cast<region::Policy>(pick(0, 2));
  habits.percent = pick(0, 4) == 0 ? 0 : static_cast<int>(pick(10, 60));
  constexpr std::uint64_t kKernels[] = {50 * kUs, 200 * kUs, 1 * kMs, 7 * kMs, 50 * kMs};
  habits.kernel_ns = kKernels[pick(0, 4)];
  if (pick(0, 3) == 0) habits.period_ns = habits.kernel_ns * pick(2, 20);
  if (pick(0, 3) == 0) habits.think_ns = pick(1, 20) * 100 * kUs;
  if (pick(0, 3) == 0) habits.from_ns = kSecond + pick(0, kRun / 2);
  if (pick(0, 4) == 0) habits.to_ns = kSecond + pick(kRun / 2, kRun);
  if (pick(0, 5) == 0) {
    habits.stops_at_ns = kSecond + pick(0, kRun);
    habits.goes_on_at_ns = habits.stops_at_ns + pick(0, kRun);
  }
  habits.sync_delay_ns = pick(2, 20) * 10 * kUs;
  return habits;
}

/// As the scheduler gives them: no more than the GPU has.
std::vector<Habits> RandomMix(std::mt19937& random) {
  std::vector<Habits> mix;
  int left = 100;
  for (std::size_t count = 2 + random() % 5; mix.size() < count;) {
    Habits habits = RandomHabits(random);
    habits.percent = std::min(habits.percent, left / 10 * 10);
    left -= habits.percent;
    mix.push_back(habits);
  }
  return mix;
}

TEST(ArbiterProperties, HoldForRandomContainers) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const std::vector<Habits> mix = RandomMix(random);
    SimulatedGpu gpu(mix, seed);
    Witness witness(mix.size());
    gpu.Run(kRun, [&](const SimulatedGpu& now) { witness.Look(now); });
    // A share of 2 percent is a window each second, and one that was stopped costs another.
    EXPECT_LE(witness.longest_wait_ns(), 4 * kSecond);
    const bool any_stops = std::any_of(
        mix.begin(), mix.end(), [](const Habits& one) { return one.stops_at_ns < kSecond + kRun; });
    EXPECT_LE(gpu.longest_waste_ns(), any_stops ? kSecond + kPatienceNs + 50 * kMs : 4 * kMs);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tessera::agent::test
