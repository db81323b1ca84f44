#pragma once

#include <cstdint>
#include <vector>

#include <gmock/gmock.h>

#include "agent/arbiter/arbiter.h"
#include "interceptor/region/grant.h"

/// What tests of the arbiter's rules have in common: two containers of 50, stepped by hand.
namespace tessera::agent::test {

using region::kOpenForAll;
using region::kOpenInRounds;
using region::Policy;

inline constexpr std::uint64_t kUs = 1'000;
inline constexpr std::uint64_t kMs = 1'000'000;

inline TenantSeen Burst(std::uint64_t key, int percent) {
  return {.key = key,
          .policy = Policy::kBurstShare,
          .percent = percent,
          .attached = true,
          .presses = true};
}

class ArbiterRules : public ::testing::Test {
 protected:
  /// Steps `ns` later.
  void After(std::uint64_t ns) {
    now_ += ns;
    grants_ = arbiter_.Step(now_, tenants_);
    ASSERT_EQ(grants_.size(), tenants_.size());
  }
  void Want(std::size_t i, bool wanting, bool running) {
    tenants_[i].wanting = wanting;
    tenants_[i].running = running;
  }
  bool IsOpen(std::size_t i) const { return now_ < grants_[i].open_until_ns; }
  /// Both want, and 0 has the window.
  void Contend() {
    Want(0, true, false);
    After(kMs);
    Want(1, true, false);
    After(kMs);
    EXPECT_FALSE(IsOpen(0) || IsOpen(1)) << "all are closed before the first window";
    After(kUs);
    ASSERT_TRUE(IsOpen(0));
    ASSERT_FALSE(IsOpen(1));
    Want(0, false, true);
  }
  /// Looks each millisecond.
  void Pass(std::uint64_t ns) {
    for (; ns > kMs; ns -= kMs) After(kMs);
    After(ns);
  }

  std::vector<TenantSeen> tenants_{Burst(1, 50), Burst(2, 50)};
  std::vector<TenantGrant> grants_;
  std::uint64_t now_ = 1'000 * kMs;
  Arbiter arbiter_;
};

}  // namespace tessera::agent::test
