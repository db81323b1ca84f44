#include "agent/arbiter/pauses.h"

#include <gmock/gmock.h>

namespace tessera::agent {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

struct Watched {
  Pauses pauses;
  std::uint64_t now_ns = 1000 * kMs;

  void Away(std::uint64_t ns) {
    pauses.Begin(now_ns);
    now_ns += ns;
    pauses.End(now_ns);
    pauses.Served();
  }
};

TEST(Pauses, ThreeLongOnesAreAHabitAndAShortOneEndsIt) {
  Watched one;
  for (int i = 0; i < 2; ++i) one.Away(3 * kMs);
  EXPECT_FALSE(one.pauses.AreLong());
  for (int i = 0; i < 5; ++i) one.Away(9 * kMs);
  EXPECT_TRUE(one.pauses.AreLong());
  one.Away(2 * kMs);
  EXPECT_FALSE(one.pauses.AreLong());
  for (int i = 0; i < 3; ++i) one.Away(3 * kMs);
  EXPECT_TRUE(one.pauses.AreLong());
  one.pauses.TooShort();
  EXPECT_FALSE(one.pauses.AreLong());
}

TEST(Pauses, WhoEndsOneHasWokenUntilItIsServed) {
  Pauses pauses;
  pauses.End(kMs);
  EXPECT_FALSE(pauses.woke()) << "it had not given anything up";
  pauses.Begin(kMs);
  EXPECT_FALSE(pauses.woke());
  pauses.End(2 * kMs);
  EXPECT_TRUE(pauses.woke());
  pauses.End(3 * kMs);
  EXPECT_TRUE(pauses.woke());
  pauses.Served();
  EXPECT_FALSE(pauses.woke());
}

TEST(Pauses, ThreeBriefWorksAreAHabitUntilALongOneEndsIt) {
  Pauses pauses;
  const auto works = [&](std::uint64_t ns) { pauses.Worked(1000 * kMs, 1000 * kMs + ns); };
  for (int i = 0; i < 2; ++i) works(kMs);
  EXPECT_FALSE(pauses.WorkIsBrief(1003 * kMs));
  works(2 * kMs);
  EXPECT_TRUE(pauses.WorkIsBrief(1003 * kMs));
  pauses.CutShort(1000 * kMs, 1002 * kMs);
  EXPECT_TRUE(pauses.WorkIsBrief(1003 * kMs)) << "it had just begun";
  pauses.CutShort(1000 * kMs, 1003 * kMs);
  EXPECT_FALSE(pauses.WorkIsBrief(1003 * kMs));
  for (int i = 0; i < 3; ++i) works(kMs);
  works(3 * kMs);
  EXPECT_FALSE(pauses.WorkIsBrief(1003 * kMs));
  for (int i = 0; i < 3; ++i) works(kMs);
  EXPECT_TRUE(pauses.WorkIsBrief(60'000 * kMs));
  EXPECT_FALSE(pauses.WorkIsBrief(62'000 * kMs)) << "windows are to show it again";
}

TEST(Pauses, WhoIsAwayForLongIsNoLongerExpected) {
  Pauses pauses;
  EXPECT_FALSE(pauses.MayEndSoon(kMs));
  pauses.Begin(kMs);
  EXPECT_TRUE(pauses.MayEndSoon(kMs));
  EXPECT_TRUE(pauses.MayEndSoon(100 * kMs));
  EXPECT_FALSE(pauses.MayEndSoon(102 * kMs));
  pauses.End(103 * kMs);
  EXPECT_TRUE(pauses.woke());
  EXPECT_FALSE(pauses.MayEndSoon(103 * kMs));
}

}  // namespace
}  // namespace tessera::agent
