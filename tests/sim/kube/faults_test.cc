#include "sim/kube/faults.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

TEST(Faults, HitAsManyRequestsAsTheyShallAndNoOthers) {
  Faults faults;
  EXPECT_FALSE(faults.Take("GET", "/a"));
  faults.Add({.kind = Fault::Kind::kAnswer,
              .method = "POST",
              .path = "/pods/[^/]+/binding",
              .times = 2,
              .code = 409});
  EXPECT_FALSE(faults.Take("GET", "/pods/p/binding"));
  EXPECT_FALSE(faults.Take("POST", "/pods/p"));
  EXPECT_EQ(faults.Take("POST", "/pods/p/binding")->code, 409);
  EXPECT_EQ(faults.Take("POST", "/pods/q/binding")->code, 409);
  EXPECT_FALSE(faults.Take("POST", "/pods/p/binding"));
}

TEST(Faults, AreUsedInTheOrderInWhichTheyWereAdded) {
  Faults faults;
  faults.Add({.code = 500});
  faults.Add({.kind = Fault::Kind::kDrop});
  EXPECT_EQ(faults.Take("GET", "/a")->code, 500);
  EXPECT_EQ(faults.Take("PUT", "/b")->kind, Fault::Kind::kDrop);
}

TEST(Journal, CountsByMethodAndPath) {
  Journal journal;
  journal.Add({.method = "GET", .path = "/a", .query = {}, .body = {}, .user = {}});
  journal.Add({.method = "POST", .path = "/a/b", .query = {}, .body = "{}", .user = {}});
  EXPECT_EQ(journal.Count("GET", "/a"), 1U);
  EXPECT_EQ(journal.Count("POST", "/a/.*"), 1U);
  EXPECT_EQ(journal.Count("POST", "/a"), 0U);
  EXPECT_EQ(journal.All().at(1).body, "{}");
  journal.Clear();
  EXPECT_TRUE(journal.All().empty());
}

}  // namespace
}  // namespace tessera::sim
