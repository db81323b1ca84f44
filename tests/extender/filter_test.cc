#include "extender/filter.h"

#include <map>
#include <string>
#include <thread>

#include <gmock/gmock.h>

#include "extender/second_look.h"
#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class FilterTest : public CacheTest {
 protected:
  FilterResult Run(const ExtenderArgs& args) {
    auto result = filter_.Handle(args);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : FilterResult{};
  }
  std::vector<std::string> Names(const std::string& uid, const binpack::PodRequest& request,
                                 std::vector<std::string> nodes) {
    return Run(Args(uid, request, std::move(nodes))).node_names;
  }

  bool synced_ = true;
  int rejected_pods_ = 0;
  Filter filter_{cache_,
                 ranking_,
                 verdicts_,
                 {.limit = 3},
                 [this] { return synced_; },
                 [this](const Reasons&) { ++rejected_pods_; }};
};

std::map<std::string, std::string> AsMap(const std::vector<FailedNode>& failed) {
  std::map<std::string, std::string> map;
  for (const auto& node : failed) map[node.name] = node.reason;
  return map;
}

TEST_F(FilterTest, AnswersWithAnErrorUntilTheCacheIsSynced) {
  AddNode(cache_, "n", 1);
  synced_ = false;
  const auto result = filter_.Handle(Args("p", Ask(1, 1), {"n"}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "cache not synced");
}

TEST_F(FilterTest, ARejectionIsLookedAtOnceMoreIfTheClusterHasChangedMeanwhile) {
  AddNode(cache_, "n", 1);
  cache_.AddPod("x", "n", Given("n", 0, 900, 100));
  int asked = 0;
  const Filter filter(
      cache_, ranking_, verdicts_,
      {.is_newer =
           [&](const auto& seen) {
             EXPECT_EQ(seen, cache_.UpdateSnapshot());
             if (++asked == 2) cache_.RemovePod("x");
             return asked <= 2;
           }},
      [] { return true; }, [this](const Reasons&) { ++rejected_pods_; });
  const auto fits = filter.Handle(Args("p", Ask(900, 100), {"n"}));
  ASSERT_TRUE(fits);
  EXPECT_THAT(fits->node_names, ElementsAre("n"));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(rejected_pods_, 0);
  EXPECT_TRUE(fits->failed.empty());
  const auto too_large = filter.Handle(Args("q", Ask(90000, 100), {"n"}));
  EXPECT_TRUE(too_large->node_names.empty());
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(rejected_pods_, 1);
}

TEST_F(FilterTest, APodThatIsDeletedWhileItIsLookedAtHoldsNothing) {
  AddNode(cache_, "n", 1);
  cache_.AddPod("x", "n", Given("n", 0, 900, 100));
  const Filter filter(cache_, ranking_, verdicts_,
                      {.is_newer =
                           [&](const auto&) {
                             cache_.RemovePod("p");
                             cache_.RemovePod("x");
                             return true;
                           }},
                      [] { return true; }, {});
  ASSERT_TRUE(filter.Handle(Args("p", Ask(900, 100), {"n"})));
  EXPECT_FALSE(cache_.HeldRequest("p"));
  EXPECT_THAT(Names("q", Ask(900, 100), {"n"}), ElementsAre("n"));
}

TEST_F(FilterTest, ASecondLookWaitsForAChangeAFewTimesASecond) {
  AddNode(cache_, "n", 1);
  SecondLook look(cache_, clock_);
  auto before = cache_.UpdateSnapshot();
  bool in_time = false;
  for (int i = 0; i < 100 && !in_time; ++i) {  // the machine may let the change come too late
    before = cache_.UpdateSnapshot();
    const auto start = std::chrono::steady_clock::now();
    std::thread late([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(8));
      cache_.AddPod("x" + std::to_string(i), "n", Given("n", 0, 1, 1));
      in_time = std::chrono::steady_clock::now() - start < SecondLook::kMoment * 2 / 3;
    });
    const bool changed = look.Wait(before);
    late.join();
    EXPECT_TRUE(changed || !in_time);
    clock_.Advance(std::chrono::seconds(1));
  }
  ASSERT_TRUE(in_time);
  EXPECT_TRUE(look.Wait(before)) << "it has changed already";
  const auto now = cache_.UpdateSnapshot();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(look.Wait(now));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
  clock_.Advance(std::chrono::seconds(1));
  const auto again = std::chrono::steady_clock::now();
  EXPECT_FALSE(look.Wait(now));
  EXPECT_GE(std::chrono::steady_clock::now() - again, SecondLook::kMoment);
}

TEST_F(FilterTest, PodsWithoutAGpuPassEverywhereAndHoldNothing) {
  EXPECT_THAT(Names("p", {}, {"x", "y"}), ElementsAre("x", "y"));
  EXPECT_FALSE(cache_.HeldRequest("p"));
}

TEST_F(FilterTest, PassesTheBestFewByScore) {
  for (const char* node : {"a", "b", "c", "d", "e"}) AddNode(cache_, node, 1);
  cache_.AddPod("x", "d", Given("d", 0, 500, 50));
  EXPECT_THAT(Names("p", Ask(500, 50), {"a", "b", "c", "d", "e"}), ElementsAre("d", "a", "b"));
}

TEST_F(FilterTest, NoLimitPassesAllThatFit) {
  for (const char* node : {"a", "b", "c", "d"}) AddNode(cache_, node, 1);
  const Filter all(cache_, ranking_, verdicts_, {.limit = 0}, [] { return true; }, {});
  EXPECT_EQ(all.Handle(Args("p", Ask(500, 50), {"a", "b", "c", "d"}))->node_names.size(), 4u);
}

TEST_F(FilterTest, SpreadPrefersTheEmptiestNode) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  cache_.AddPod("x", "a", Given("a", 0, 500, 50));
  auto request = Ask(500, 50);
  EXPECT_EQ(Names("p", request, {"a", "b"}).front(), "a");
  request.node_policy = binpack::PlacementPolicy::kSpread;
  EXPECT_EQ(Names("p", request, {"a", "b"}).front(), "b");
}

TEST_F(FilterTest, AGangsPodsAreNotPromisedOneGpuTwice) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  EXPECT_THAT(Names("p1", Ask(600, 50), {"a", "b"}), ElementsAre("a", "b"));
  EXPECT_THAT(Names("p2", Ask(600, 50), {"a", "b"}), ElementsAre("b"));
  EXPECT_THAT(Names("p3", Ask(600, 50), {"a", "b"}), IsEmpty());
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_THAT(Names("p3", Ask(600, 50), {"a", "b"}), ElementsAre("a", "b")) << "nobody was bound";
}

TEST_F(FilterTest, APodsOwnHoldDoesNotStandInItsWay) {
  AddNode(cache_, "a", 1);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Names("p", Ask(600, 50), {"a"}), ElementsAre("a"));
}

TEST_F(FilterTest, PodsThatTheWebhookHasNotSeenHoldNothing) {
  AddNode(cache_, "a", 1);
  auto args = Args("p", Ask(600, 50), {"a"});
  args.pod.managed = false;
  EXPECT_THAT(Run(args).node_names, ElementsAre("a"));
  EXPECT_FALSE(cache_.HeldRequest("p"));
}

TEST_F(FilterTest, SaysWhichResourceIsShortAndByHowMuch) {
  AddNode(cache_, "small", 1);
  AddNode(cache_, "full", 1);
  AddNode(cache_, "fuller", 1);
  AddNode(cache_, "nocores", 1);
  cache_.SetNode("noagent", std::nullopt);
  cache_.AddPod("x", "full", Given("full", 0, 700, 10));
  cache_.AddPod("y", "fuller", Given("fuller", 0, 900, 10));
  cache_.AddPod("z", "nocores", Given("nocores", 0, 10, 80));
  cache_.AddPod("w", "small", Given("small", 0, 999, 99));
  const auto result =
      Run(Args("p", Ask(500, 40), {"small", "full", "fuller", "nocores", "noagent", "stranger"}));
  EXPECT_THAT(result.node_names, IsEmpty());
  const std::string memory = "insufficient GPU memory: 500 MiB asked, at most 300 MiB free";
  const std::string cores = "insufficient GPU cores: 40 percent asked, at most 20 percent free";
  EXPECT_THAT(
      AsMap(result.failed),
      UnorderedElementsAre(std::pair("full", memory), std::pair("fuller", memory),
                           std::pair("small", memory + "; " + cores), std::pair("nocores", cores),
                           std::pair("stranger", "the node is not known yet")));
  EXPECT_THAT(AsMap(result.failed_and_unresolvable),
              UnorderedElementsAre(std::pair("noagent", "the node has no GPU inventory")));
  EXPECT_EQ(rejected_pods_, 1);
}

TEST_F(FilterTest, WhatNoEvictionCanCureIsUnresolvable) {
  AddNode(cache_, "n", 2);
  cache_.AddPod("x", "n", Given("n", 0, 900, 10));
  EXPECT_THAT(AsMap(Run(Args("p", Ask(5000, 1), {"n"})).failed_and_unresolvable),
              ElementsAre(std::pair(
                  "n", "insufficient GPU memory: 5000 MiB asked, at most 1000 MiB on such a GPU")));
  EXPECT_THAT(AsMap(Run(Args("p", Ask(1, 1, 3), {"n"})).failed_and_unresolvable),
              ElementsAre(std::pair("n", "insufficient GPUs: 3 asked, at most 2 on a node")));
  auto model = Ask(1, 1);
  model.selector.models_any = {{"H100"}};
  EXPECT_THAT(AsMap(Run(Args("p", model, {"n"})).failed_and_unresolvable),
              ElementsAre(std::pair(
                  "n", "insufficient GPUs of an accepted model: 1 asked, at most 0 on a node")));
  EXPECT_THAT(
      AsMap(Run(Args("p", Ask(500, 1, 2), {"n"})).failed),
      ElementsAre(std::pair(
          "n", "insufficient GPU memory: 500 MiB asked on each of 2 GPUs, at most 100 MiB free")));
}

TEST_F(FilterTest, WholeNodeObjectsOfUnknownNodesAreJudgedByTheirAnnotation) {
  AddNode(cache_, "known", 1);
  cache_.AddPod("x", "known", Given("known", 0, 900, 10));
  ExtenderArgs args = Args("p", Ask(500, 50), {});
  args.node_names.reset();
  args.nodes = {
      {"known", "{\"k\":1}", Result<contract::Inventory>(Gpus("known", 1))},
      {"template", "{\"t\":1}", Result<contract::Inventory>(Gpus("template", 1))},
      {"plain", "{\"p\":1}", std::nullopt},
      {"bad", "{\"b\":1}", Result<contract::Inventory>(Fail(Errc::kInvalidArgument, "x"))}};
  const auto result = Run(args);
  EXPECT_TRUE(result.as_objects);
  EXPECT_THAT(result.node_names, ElementsAre("template"));
  EXPECT_THAT(result.node_objects, ElementsAre("{\"t\":1}"));
  EXPECT_THAT(AsMap(result.failed), UnorderedElementsAre(testing::Key("known")));
  EXPECT_THAT(AsMap(result.failed_and_unresolvable),
              UnorderedElementsAre(testing::Key("plain"), testing::Key("bad")));
  EXPECT_FALSE(cache_.HeldRequest("p")) << "nothing to hold on a node that does not exist";
}

TEST_F(FilterTest, APodWhoseBindBeganGoesBackToItsNode) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  ASSERT_TRUE(cache_.AssumePod("p", "b", Ask(600, 50)));
  EXPECT_THAT(Names("p", Ask(600, 50), {"a", "b"}), ElementsAre("b"));
  const auto elsewhere = filter_.Handle(Args("p", Ask(600, 50), {"a"}));
  ASSERT_FALSE(elsewhere) << "its bind is under way";
  EXPECT_EQ(elsewhere.error().code, Errc::kConflict);
  cache_.KeepPod("p", Cache::Write::kUnknown);
  EXPECT_FALSE(filter_.Handle(Args("p", Ask(600, 50), {"a"}))) << "its write may still arrive";
  clock_.Advance(std::chrono::minutes(2));
  EXPECT_THAT(Names("p", Ask(600, 50), {"a"}), ElementsAre("a"))
      << "nobody heard of that bind again";
  EXPECT_EQ(Committed(cache_, "b"), (binpack::Amount{0, 0}));
}

}  // namespace
}  // namespace tessera::extender
