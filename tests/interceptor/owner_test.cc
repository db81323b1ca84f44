#include "interceptor/region/owner.h"

#include <gtest/gtest.h>

#include "interceptor/region/layout.h"
#include "tests/interceptor/children.h"

namespace tessera::region {
namespace {

TEST(Owner, ReadsStatOfAnyProcessName) {
  struct Case {
    const char* name;
    const char* text;
    bool valid;
    char state;
    std::uint64_t threads, start;
  };
  const char* const tail = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 9 18 4711 20";
  const std::string plain = std::string("12 (python3) S") + tail;
  const std::string brackets = std::string("12 (a) R (b)) Z") + tail;
  const Case cases[] = {
      {"plain", plain.c_str(), true, 'S', 9, 4711},
      {"brackets and spaces", brackets.c_str(), true, 'Z', 9, 4711},
      {"empty", "", false, '?', 0, 0},
      {"no name", "12 python S 1 2", false, '?', 0, 0},
      {"cut off", "12 (python3) S 1 2 3", false, '?', 0, 0},
      {"ends at the name", "12 (python3)", false, '?', 0, 0},
      {"ends after the name", "12 (python3) ", false, '?', 0, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const ProcessStat stat = ParseStat(c.text);
    EXPECT_EQ(stat.valid, c.valid);
    if (!c.valid) continue;
    EXPECT_EQ(stat.state, c.state);
    EXPECT_EQ(stat.threads, c.threads);
    EXPECT_EQ(stat.start_ticks, c.start);
  }
}

TEST(Owner, KnowsItself) {
  const ProcessIdentity self = Self();
  EXPECT_EQ(PidOf(self.identity), static_cast<std::uint64_t>(getpid()));
  EXPECT_GT(StartTicksOf(self.identity), 0u);
  EXPECT_GT(self.pid_namespace, 0u);
  EXPECT_EQ(LivenessHere(self.identity), Liveness::kAlive);
}

TEST(Owner, TellsTheDeadFromTheLiving) {
  const ProcessIdentity self = Self();
  EXPECT_EQ(LivenessHere(PackIdentity(PidOf(self.identity), StartTicksOf(self.identity) + 1)),
            Liveness::kDead);
  EXPECT_EQ(LivenessHere(PackIdentity(0, 5)), Liveness::kDead);
  test::Shared<std::atomic<std::uint64_t>> child_identity;
  const pid_t child = test::Fork([&] {
    *child_identity = Self().identity;
    pause();
  });
  while (*child_identity == 0) usleep(50);
  EXPECT_EQ(LivenessHere(*child_identity), Liveness::kAlive);
  test::Kill(child);
  EXPECT_EQ(LivenessHere(*child_identity), Liveness::kDead);
}

TEST(Owner, PackedIdentityKeepsBothNumbers) {
  const std::uint64_t identity = PackIdentity(4'194'303, 123'456'789'012);
  EXPECT_EQ(PidOf(identity), 4'194'303u);
  EXPECT_EQ(StartTicksOf(identity), 123'456'789'012u);
}

}  // namespace
}  // namespace tessera::region
