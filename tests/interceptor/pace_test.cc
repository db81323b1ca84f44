#include "interceptor/region/pace.h"

#include <gmock/gmock.h>

namespace tessera {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr std::uint64_t kStart = 1000 * kSecond;

TEST(Pace, TimeThatTwoProcessesShareIsCountedOnce) {
  region::Pace pace{};
  region::CountUse(pace, 50, kStart, kStart + 10 * kMs);
  region::CountUse(pace, 50, kStart + 4 * kMs, kStart + 12 * kMs);
  region::CountUse(pace, 50, kStart + 2 * kMs, kStart + 9 * kMs);
  EXPECT_EQ(pace.used_ns.load(), 12 * kMs);
}

TEST(Pace, UseIsPaidBackAtTheRateOfTheShare) {
  region::Pace pace{};
  const std::int64_t before = region::CreditNs(pace, 25, kStart);
  region::CountUse(pace, 25, kStart, kStart + 10 * kMs);
  EXPECT_EQ(region::CreditNs(pace, 25, kStart + 10 * kMs),
            before + static_cast<std::int64_t>(10 * kMs) - static_cast<std::int64_t>(40 * kMs));
}

TEST(Pace, CreditOfAnIdleContainerEnds) {
  region::Pace pace{};
  region::CountUse(pace, 50, kStart, kStart + kMs);
  EXPECT_EQ(region::CreditNs(pace, 50, kStart + 1000 * kSecond),
            static_cast<std::int64_t>(region::PauseNs(50) + region::kBurstNs));
}

TEST(Pace, AScribbledOneHoldsNobodyUp) {
  region::Pace pace{};
  pace.paid_until_ns = ~std::uint64_t{0};
  pace.counted_until_ns = ~std::uint64_t{0};
  EXPECT_GT(region::CreditNs(pace, 30, kStart), 0);
  region::CountUse(pace, 30, kStart, kStart + 10 * kMs);
  EXPECT_EQ(pace.used_ns.load(), 10 * kMs);
  EXPECT_LT(pace.paid_until_ns.load(), kStart + kSecond);
}

TEST(Pace, NoDebtIsLongerThanAMinute) {
  region::Pace pace{};
  region::CountUse(pace, 1, kStart, kStart + 100 * kSecond);
  EXPECT_EQ(region::CreditNs(pace, 1, kStart + 100 * kSecond),
            -static_cast<std::int64_t>(region::kMostDebtNs));
}

}  // namespace
}  // namespace tessera
