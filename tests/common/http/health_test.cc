#include "common/http/health.h"

#include <gtest/gtest.h>

namespace tessera::http {
namespace {

TEST(Health, ListsEveryCheckWhenOneFails) {
  Health health;
  std::string problem = "not synced";
  health.AddReadyCheck("cache", [&] { return problem; });
  health.AddReadyCheck("certificates", [] { return ""; });
  EXPECT_EQ(health.Ready(false).status, 503);
  EXPECT_EQ(
      health.Ready(false).body,
      "[-]cache failed: not synced\n[+]certificates ok\n[+]shutdown ok\nreadyz check failed\n");
  problem.clear();
  EXPECT_EQ(health.Ready(false).body, "ok");
  EXPECT_EQ(health.Ready(true).body,
            "[+]cache ok\n[+]certificates ok\n[+]shutdown ok\nreadyz check passed\n");
}

TEST(Health, IsNotReadyAfterDrainButStaysAlive) {
  Health health;
  EXPECT_EQ(health.Ready(false).status, 200);
  health.Drain();
  EXPECT_EQ(health.Ready(false).status, 503);
  EXPECT_EQ(Health::Live().status, 200);
}

}  // namespace
}  // namespace tessera::http
