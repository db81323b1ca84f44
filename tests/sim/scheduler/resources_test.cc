#include "sim/scheduler/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(PodExtendedResources, FollowsKubernetesRuleForInitContainersAndSidecars) {
  struct Case {
    const char* name;
    const char* spec;
    Resources want;
  };
  const std::vector<Case> cases = {
      {"nothing", R"({"containers":[{"name":"c"}]})", {}},
      {"cpu is not extended",
       R"({"containers":[{"resources":{"limits":{"cpu":"2","memory":"1Gi"}}}]})",
       {}},
      {"limits stand for requests",
       R"({"containers":[{"resources":{"limits":{"a/x":"3"}}}]})",
       {{"a/x", 3}}},
      {"requests win",
       R"({"containers":[{"resources":{"limits":{"a/x":"3"},"requests":{"a/x":"2"}}}]})",
       {{"a/x", 2}}},
      {"containers add up",
       R"({"containers":[{"resources":{"limits":{"a/x":3}}},{"resources":{"limits":{"a/x":"4"}}}]})",
       {{"a/x", 7}}},
      {"the largest init container counts if it is larger",
       R"({"initContainers":[{"resources":{"limits":{"a/x":"9"}}},{"resources":{"limits":{"a/x":"5"}}}],
           "containers":[{"resources":{"limits":{"a/x":"3"}}}]})",
       {{"a/x", 9}}},
      {"a sidecar adds to the app containers",
       R"({"initContainers":[{"restartPolicy":"Always","resources":{"limits":{"a/x":"2"}}}],
           "containers":[{"resources":{"limits":{"a/x":"3"}}}]})",
       {{"a/x", 5}}},
      {"a sidecar adds to init containers behind it only",
       R"({"initContainers":[{"resources":{"limits":{"a/x":"4"}}},
             {"restartPolicy":"Always","resources":{"limits":{"a/x":"2"}}},{"resources":{"limits":{"a/x":"3"}}}],
           "containers":[{"resources":{"limits":{"a/x":"1"}}}]})",
       {{"a/x", 5}}},
      {"suffixes",
       R"({"containers":[{"resources":{"limits":{"a/x":"2Ki","a/y":"3k"}}}]})",
       {{"a/x", 2048}, {"a/y", 3000}}},
      {"nonsense counts as nothing",
       R"({"containers":[{"resources":{"limits":{"a/x":"many","a/y":"-1","a/z":true,"a/w":"1.5"}}}]})",
       {{"a/w", 0}, {"a/x", 0}, {"a/y", 0}, {"a/z", 0}}},
      {"no overflow",
       R"({"containers":[{"resources":{"limits":{"a/x":"9000000000000000Ti"}}},
                                         {"resources":{"limits":{"a/x":"9000000000000000Ti"}}}]})",
       {{"a/x", std::int64_t{1} << 53}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto pod = json::Parse(std::string("{\"spec\":") + c.spec + "}").value();
    EXPECT_EQ(PodExtendedResources(pod), c.want);
  }
}

TEST(NodeExtendedResources, AllocatableWinsOverCapacity) {
  const auto node = json::Parse(
      R"({"status":{"capacity":{"cpu":"4","a/x":"10","a/y":"3"},"allocatable":{"a/x":"8"}}})");
  EXPECT_THAT(NodeExtendedResources(*node), ElementsAre(Pair("a/x", 8), Pair("a/y", 3)));
}

TEST(InsufficientResources, NamesEachThatDoesNotFit) {
  const Resources wanted = {{"a/x", 5}, {"a/y", 1}, {"a/z", 0}};
  EXPECT_THAT(InsufficientResources(wanted, {{"a/x", 5}}, {{"a/x", 10}, {"a/y", 1}}), IsEmpty());
  EXPECT_THAT(InsufficientResources(wanted, {{"a/x", 6}}, {{"a/x", 10}}),
              ElementsAre("Insufficient a/x", "Insufficient a/y"));
}

}  // namespace
}  // namespace tessera::sim
