#include "extender/ranking.h"

#include <thread>

#include <gtest/gtest.h>

#include "extender/cache.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::extender {
namespace {

contract::Inventory EightGpus(const std::string& node) {
  contract::Inventory inventory;
  for (int i = 0; i < 8; ++i) {
    inventory.gpus.push_back(
        {.uuid = node + std::to_string(i), .index = i, .model = "A100", .memory_mib = 40000});
  }
  return inventory;
}

binpack::PodRequest Slice(int percent) {
  return {
      .containers = {
          {.name = "c", .gpu = {.count = 1, .memory_percent = percent, .cores_percent = percent}}}};
}

class RankingTest : public testing::Test {
 protected:
  RankingTest() {
    cache_.SetNode("a", Result<contract::Inventory>(EightGpus("a")));
    cache_.SetNode("b", Result<contract::Inventory>(EightGpus("b")));
  }
  std::shared_ptr<const Snapshot> Now() { return cache_.UpdateSnapshot(); }
  void ObserveMany(Ranking& ranking, int count, int percent) {
    for (int i = 0; i < count; ++i) {
      ranking.Observe("pod-" + std::to_string(next_++), Slice(percent), *Now());
    }
  }
  std::int64_t ScoreOn(const Ranking& ranking, const std::string& node, int percent,
                       const binpack::NodeInfo& info) const {
    return ranking.model()->Score(info, {.devices = {{node + "0", {400 * percent, percent}}}});
  }

  ManualClock clock_;
  Cache cache_{clock_, {}};
  int next_ = 0;
};

TEST_F(RankingTest, LearnsWhichRestsAreOfUse) {
  Ranking ranking;
  ObserveMany(ranking, 3000, 30);
  ObserveMany(ranking, 3000, 70);
  binpack::NodeInfo seventy = Now()->Find("a")->held;
  binpack::Reserve(seventy, {.devices = {{"a0", {28000, 70}}}});
  const binpack::NodeInfo empty = Now()->Find("b")->held;
  EXPECT_GT(ScoreOn(ranking, "a", 30, seventy), ScoreOn(ranking, "b", 30, empty));
}

TEST_F(RankingTest, CountsAPodThatIsTriedAgainOnce) {
  Ranking once, often;
  for (Ranking* ranking : {&once, &often}) ranking->Observe("x", Slice(10), *Now());
  for (int i = 0; i < 100; ++i) often.Observe("x", Slice(10), *Now());
  EXPECT_EQ(once.Save(), often.Save());
}

TEST_F(RankingTest, GoesOnWhereItWasBeforeARestart) {
  std::string saved;
  Ranking before({}, [&](const std::string& text) { saved = text; });
  ObserveMany(before, 2 * Ranking::kRefresh, 35);
  ASSERT_FALSE(saved.empty());
  Ranking after(saved);
  EXPECT_TRUE(after.restored());
  EXPECT_EQ(after.Save(), saved);
}

TEST_F(RankingTest, StartsAnewFromWhatItCannotRead) {
  const std::string fresh = Ranking().Save();
  for (const char* text : {"garbage", "models", "models x\n", "models 1\nA\n", "models 99999\n",
                           "models 18446744073709551616\n", "models 0\ntessera-demand 9\n"}) {
    SCOPED_TRACE(text);
    const Ranking ranking(text);
    EXPECT_FALSE(ranking.restored());
    EXPECT_EQ(ranking.Save(), fresh);
  }
}

TEST_F(RankingTest, NumbersOfModelsStayWhenNodesComeAndGo) {
  Ranking ranking;
  binpack::PodRequest picky = Slice(50);
  picky.selector.models_any = {{.text = "A100"}};
  ranking.Observe("first", Slice(50), *Now());
  for (int i = 0; i < Ranking::kRefresh; ++i)
    ranking.Observe("p" + std::to_string(i), picky, *Now());
  contract::Inventory other = EightGpus("c");
  for (auto& gpu : other.gpus) gpu.model = "A10";
  cache_.SetNode("c", Result<contract::Inventory>(other));
  ranking.Observe("later", Slice(50), *Now());
  EXPECT_TRUE(ranking.Save().starts_with("models 2\nA100\nA10\n")) << ranking.Save();
}

TEST_F(RankingTest, MayBeAskedFromManyThreads) {
  Ranking ranking;
  const auto snapshot = Now();
  const binpack::NodeInfo node = snapshot->Find("a")->held;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          ranking.Observe(std::to_string(t) + "/" + std::to_string(i), Slice(10 + i % 50),
                          *snapshot);
          ScoreOn(ranking, "a", 20, node);
        }
      });
    }
  }
  EXPECT_NE(ranking.Save(), Ranking().Save());
}

TEST_F(RankingTest, OfLikeNodesAPodGoesWhereItsCpuStrandsTheFewestGpus) {
  // Every whole GPU comes with 8 cores.
  const std::string eight_cores =
      "models 1\nA100\ntessera-demand 1\n8000 1 1000 1000 18446744073709551615 100\n";
  for (const auto& [node, cpu_milli] : {std::pair{"a", 64000}, {"b", 40000}}) {
    cache_.SetNode(node, Result<contract::Inventory>(EightGpus(node)), cpu_milli);
  }
  const auto better = [&](std::int64_t cpu_milli, const Ranking& ranking) {
    const auto score = [&](const std::string& node) {
      return ranking.model()->Score(
          Now()->Find(node)->held,
          {.devices = {{node + "0", {40000, 100}}}, .cpu_milli = cpu_milli});
    };
    return score("a") > score("b") ? "a" : score("a") < score("b") ? "b" : "none";
  };
  Ranking ranking(eight_cores);
  ASSERT_TRUE(ranking.restored());
  ranking.Observe("first", Slice(100), *Now());
  EXPECT_STREQ(better(1000, ranking), "b") << "it takes a GPU that has too little CPU anyway";
  cache_.SetOtherCpu("a", 40000);
  EXPECT_STREQ(better(1000, ranking), "none") << "now both nodes have too little";
  cache_.SetOtherCpu("a", 0);
  cache_.SetOtherCpu("b", 0);
  EXPECT_STREQ(better(1000, ranking), "b");

  Ranking primed;  // the default workload knows no CPU: it decides nothing
  primed.Observe("first", Slice(100), *Now());
  EXPECT_STREQ(better(1000, primed), "none");
}

TEST_F(RankingTest, LearnsTheCpuOfPods) {
  Ranking ranking;
  ranking.Observe("first", Slice(50), *Now());
  auto pod = Slice(50);
  pod.cpu_milli = 7990;
  ranking.Observe("second", pod, *Now());
  EXPECT_NE(ranking.Save().find("\n8000 1 500 500 "), std::string::npos) << ranking.Save();
}

}  // namespace
}  // namespace tessera::extender
