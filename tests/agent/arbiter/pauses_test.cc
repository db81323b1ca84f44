#include "agent/arbiter/pauses.h"

#include <utility>

#include <gmock/gmock.h>

namespace tessera::agent {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

struct Watched {
  Pauses pauses;
  std::uint64_t now_ns = 1000 * kMs;

  /// In a window, which it then gives up.
  void Works(std::uint64_t ns) {
    pauses.Open(now_ns);
    now_ns += ns;
    pauses.Look(now_ns, false);
    pauses.GiveUp();
  }
  void Away(std::uint64_t ns) {
    Works(kMs);
    now_ns += ns;
    pauses.Return(now_ns);
  }
  /// In its window, and goes on.
  void Rests(std::uint64_t ns) {
    pauses.Look(now_ns, false);
    now_ns += ns;
    pauses.Look(now_ns, true);
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
  one.pauses.Open(one.now_ns);
  one.Rests(kMs / 4);
  EXPECT_FALSE(one.pauses.AreLong()) << "it went on before its window was given up";
}

TEST(Pauses, WhoEndsOneHasWokenUntilItIsServed) {
  Watched one;
  one.pauses.Return(one.now_ns);
  EXPECT_FALSE(one.pauses.woke()) << "it had not given anything up";
  one.Works(kMs);
  EXPECT_FALSE(one.pauses.woke());
  one.pauses.Return(one.now_ns += kMs);
  EXPECT_TRUE(one.pauses.woke());
  one.pauses.Return(one.now_ns += kMs);
  EXPECT_TRUE(one.pauses.woke());
  one.pauses.Open(one.now_ns);
  EXPECT_FALSE(one.pauses.woke());
  one.Away(kMs);
  EXPECT_TRUE(one.pauses.woke());
  one.pauses.WantNothing();
  EXPECT_FALSE(one.pauses.woke());
}

TEST(Pauses, ThreeBriefWorksAreAHabitUntilALongOneEndsIt) {
  Watched one;
  for (int i = 0; i < 2; ++i) one.Works(kMs);
  EXPECT_FALSE(one.pauses.WorkIsBrief(one.now_ns));
  one.Works(2 * kMs);
  EXPECT_TRUE(one.pauses.WorkIsBrief(one.now_ns));
  one.Works(3 * kMs);
  EXPECT_FALSE(one.pauses.WorkIsBrief(one.now_ns));
  for (int i = 0; i < 3; ++i) one.Works(kMs);
  EXPECT_TRUE(one.pauses.WorkIsBrief(one.now_ns + 59'000 * kMs));
  EXPECT_FALSE(one.pauses.WorkIsBrief(one.now_ns + 61'000 * kMs)) << "windows are to show it";
}

TEST(Pauses, WorkThatWasNotOverIsLongIfItHadBeenUnderWayForLong) {
  Watched one;
  for (int i = 0; i < 3; ++i) one.Works(kMs);
  one.pauses.Open(one.now_ns);
  one.pauses.CutShort(one.now_ns += 2 * kMs);
  EXPECT_TRUE(one.pauses.WorkIsBrief(one.now_ns));
  one.pauses.Open(one.now_ns);
  one.now_ns += kMs;
  one.pauses.Look(one.now_ns, false);
  one.pauses.CutShort(one.now_ns += 3 * kMs);
  EXPECT_TRUE(one.pauses.WorkIsBrief(one.now_ns)) << "it was over";
  one.pauses.Open(one.now_ns);
  one.pauses.CutShort(one.now_ns += 3 * kMs);
  EXPECT_FALSE(one.pauses.WorkIsBrief(one.now_ns));
}

TEST(Pauses, BreaksWithinAWindowDivideWorkUnlessTheyAreVeryShort) {
  for (const auto& [break_ns, is_brief] : {std::pair{kMs / 4, false}, {kMs * 3 / 4, true}}) {
    Watched one;
    for (int i = 0; i < 3; ++i) one.Works(kMs);
    one.pauses.Open(one.now_ns);
    for (int i = 0; i < 5; ++i) {
      one.now_ns += kMs;
      one.Rests(break_ns);
    }
    one.pauses.CutShort(one.now_ns);
    EXPECT_EQ(one.pauses.WorkIsBrief(one.now_ns), is_brief) << break_ns;
  }
}

TEST(Pauses, WhoIsAwayForLongIsNoLongerExpected) {
  Watched one;
  EXPECT_FALSE(one.pauses.MayEndSoon(one.now_ns));
  one.Works(kMs);
  EXPECT_TRUE(one.pauses.MayEndSoon(one.now_ns));
  EXPECT_TRUE(one.pauses.MayEndSoon(one.now_ns + 99 * kMs));
  EXPECT_FALSE(one.pauses.MayEndSoon(one.now_ns + 101 * kMs));
  one.pauses.Return(one.now_ns + 102 * kMs);
  EXPECT_TRUE(one.pauses.woke());
  EXPECT_FALSE(one.pauses.MayEndSoon(one.now_ns + 102 * kMs));
}

}  // namespace
}  // namespace tessera::agent
