#include "agent/arbiter/fair_shares.h"

#include <gmock/gmock.h>

namespace tessera::agent {
namespace {

TEST(FairShares, ADebtIsKeptWhileTheOtherIsAwayForAMoment) {
  FairShare debtor{.weight = 50};
  FairShare other{.weight = 50};
  const auto settle = [&](double charged_ns, bool debtor_is, bool other_is, double elapsed_ns) {
    const ShareUse uses[] = {{.share = &debtor, .charged_ns = charged_ns, .active = debtor_is},
                             {.share = &other, .charged_ns = 0, .active = other_is}};
    Settle(uses, elapsed_ns, 20e6);
  };
  settle(0, true, true, 1e6);
  settle(1e9, true, true, 1e9);
  const double lead = debtor.ahead_ns - other.ahead_ns;
  EXPECT_NEAR(lead, 1e9 / 50, 1);
  for (int i = 0; i < 10; ++i) {
    settle(0, true, false, 1e3);
    settle(0, true, true, 1e3);
  }
  EXPECT_NEAR(debtor.ahead_ns - other.ahead_ns, lead, lead / 1000);
}

TEST(FairShares, WhoIsAwayLosesItsCreditButAWindowAndPaysItsDebt) {
  FairShare away{.weight = 25, .ahead_ns = -1e9};
  FairShare owing{.weight = 25, .ahead_ns = 1e8};
  const ShareUse uses[] = {{.share = &away}, {.share = &owing}};
  for (int i = 0; i < 100; ++i) Settle(uses, 1e9, 20e6);
  EXPECT_NEAR(away.ahead_ns, -20e6 / 25, 1);
  EXPECT_EQ(owing.ahead_ns, 0);
}

TEST(FairShares, ADebtHasAnEnd) {
  FairShare one{.weight = 10};
  FairShare two{.weight = 90};
  const ShareUse uses[] = {{.share = &one, .charged_ns = 1e12, .active = true},
                           {.share = &two, .active = true}};
  Settle(uses, 1e9, 20e6);
  EXPECT_LE(one.ahead_ns * one.weight, kMostDebtNs);
  EXPECT_GE(two.ahead_ns * two.weight, -kMostDebtNs);
}

}  // namespace
}  // namespace tessera::agent
