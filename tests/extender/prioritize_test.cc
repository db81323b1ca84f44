#include "extender/prioritize.h"

#include <map>

#include "binpack/score.h"
#include "extender/filter.h"
#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

class PrioritizeTest : public CacheTest {
 protected:
  std::map<std::string, std::int64_t> Scores(const ExtenderArgs& args) {
    ranking_.Observe(args.pod.uid, args.pod.request, *cache_.UpdateSnapshot());
    std::map<std::string, std::int64_t> scores;
    for (const auto& score : prioritize_.Handle(args)) scores[score.host] = score.score;
    return scores;
  }
  Prioritize prioritize_{cache_, ranking_, verdicts_};
};

TEST_F(PrioritizeTest, ScoresEachNodeFromZeroToAHundredInOrder) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  AddNode(cache_, "full", 1);
  cache_.AddPod("x", "b", Given("b", 0, 500, 50));
  cache_.AddPod("y", "full", Given("full", 0, 1000, 100));
  const auto args = Args("p", Ask(500, 50), {"b", "a", "full", "stranger"});
  ranking_.Observe("p", args.pod.request, *cache_.UpdateSnapshot());
  const auto list = prioritize_.Handle(args);
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[0].host, "b");
  EXPECT_EQ(list[3].host, "stranger");
  EXPECT_GT(list[0].score, list[1].score) << "pack";
  EXPECT_GT(list[1].score, 0);
  EXPECT_LE(list[0].score, binpack::kMaxNodeScore);
  EXPECT_EQ(list[2].score, 0);
  EXPECT_EQ(list[3].score, 0);
}

TEST_F(PrioritizeTest, FollowsTheNodePolicy) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  cache_.AddPod("x", "b", Given("b", 0, 500, 50));
  auto request = Ask(500, 50);
  request.node_policy = binpack::PlacementPolicy::kSpread;
  const auto scores = Scores(Args("p", request, {"a", "b"}));
  EXPECT_EQ(scores.at("a"), 50);
  EXPECT_EQ(scores.at("b"), 0);
}

TEST_F(PrioritizeTest, ThePodsOwnHoldDoesNotChangeItsScore) {
  AddNode(cache_, "a", 2);
  AddNode(cache_, "b", 2);
  const auto args = Args("p", Ask(500, 50), {"a", "b"});
  const auto before = Scores(args);
  ASSERT_EQ(cache_.Hold("p", {"a"}, args.pod.request), "a");
  EXPECT_EQ(Scores(args), before);
  EXPECT_NE(Scores(Args("q", Ask(500, 50), {"a", "b"})), before) << "other pods see the hold";
}

TEST_F(PrioritizeTest, PodsWithoutAGpuScoreZeroEverywhere) {
  AddNode(cache_, "a", 1);
  EXPECT_EQ(Scores(Args("p", {}, {"a"})).at("a"), 0);
}

}  // namespace
}  // namespace tessera::extender
