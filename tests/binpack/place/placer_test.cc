#include "binpack/place/placer.h"

#include <random>

#include <gtest/gtest.h>

#include "binpack/simulate/replay.h"

namespace tessera::binpack {
namespace {

PodShape RandomPod(std::mt19937& random) {
  PodShape pod{.cpu_milli = static_cast<std::int32_t>(1000 * (random() % 9)),
               .memory_mib = static_cast<std::int32_t>(1000 * (random() % 5)),
               .gpus = static_cast<std::int16_t>(random() % 4)};
  if (pod.gpus == 0) return pod;
  pod.share = {static_cast<std::int16_t>(100 * (1 + random() % 10)),
               static_cast<std::int16_t>(100 * (1 + random() % 10))};
  if (random() % 4 == 0) pod.models = ModelSet{1} << random() % 2;
  return pod;
}

std::vector<NodeRoom> RandomNodes(std::mt19937& random, int count) {
  std::vector<NodeRoom> nodes;
  for (int i = 0; i < count; ++i) {
    NodeRoom node{.cpu_milli = static_cast<std::int32_t>(16000 + 16000 * (random() % 3)),
                  .memory_mib = 64000,
                  .model = static_cast<std::int16_t>(random() % 2),
                  .gpus = static_cast<std::int16_t>(1 + random() % 8)};
    std::fill_n(node.rest.begin(), node.gpus, kWholeGpu);
    nodes.push_back(node);
  }
  return nodes;
}

Demand RandomDemand() {
  std::mt19937 random(3);
  std::vector<TypicalPod> pods;
  for (int i = 0; i < 40; ++i) pods.push_back({RandomPod(random), 1.0});
  return MakeDemand(pods);
}

bool IsSane(const NodeRoom& room) {
  if (room.cpu_milli < 0 || room.memory_mib < 0) return false;
  for (const Share& rest : room.rest) {
    if (!Within(Share{0, 0}, rest) || !Within(rest, kWholeGpu)) return false;
  }
  return true;
}

class EveryPolicy : public testing::TestWithParam<std::string> {};

TEST_P(EveryPolicy, NeverOverCommitsAndFindsRoomWhereThereIsSome) {
  std::mt19937 random(11);
  const auto nodes = RandomNodes(random, 60);
  const auto policy = simulate::MakePolicy(GetParam(), nodes, RandomDemand(), 5);
  Placer placer(nodes, *policy, 5);
  std::vector<std::pair<PodShape, Decision>> running;
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    if (!running.empty() && random() % 3 == 0) {
      std::swap(running[random() % running.size()], running.back());
      placer.Give(running.back().first, running.back().second);
      running.pop_back();
    }
    const PodShape pod = RandomPod(random);
    const bool somewhere = std::any_of(placer.nodes().begin(), placer.nodes().end(),
                                       [&](const NodeRoom& node) { return HasRoom(node, pod); });
    const auto decision = placer.Decide(pod);
    ASSERT_EQ(decision.has_value(), somewhere);
    refused += somewhere ? 0 : 1;
    if (!decision) continue;
    placer.Take(pod, *decision);
    running.emplace_back(pod, *decision);
    ASSERT_TRUE(IsSane(placer.nodes()[static_cast<std::size_t>(decision->node)]));
  }
  EXPECT_GT(refused, 100) << "the cluster was never full";
  for (const auto& [pod, decision] : running) placer.Give(pod, decision);
  EXPECT_EQ(placer.nodes(), nodes) << "giving everything back undoes everything";
}

INSTANTIATE_TEST_SUITE_P(Policies, EveryPolicy, testing::ValuesIn(simulate::PolicyNames()),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase(name, '-');
                           return name;
                         });

/// Policies that score the same whatever came before; slot prices would lag behind.
std::unique_ptr<Policy> Memoryless(const std::string& name, const std::vector<NodeRoom>& nodes) {
  return simulate::MakePolicy(name, nodes, RandomDemand(), 1, ValueWeights{.slots = 0});
}

TEST(Placer, CachedScoresAreThoseOfAFreshStartWhateverHappensToNodes) {
  for (const char* name : {"best-fit", "hami", "fgd", "fragment"}) {
    SCOPED_TRACE(name);
    std::mt19937 random(17);
    const auto nodes = RandomNodes(random, 40);
    const auto policy = Memoryless(name, nodes);
    Placer placer(nodes, *policy, 1);
    for (int i = 0; i < 500; ++i) {
      const PodShape pod = RandomPod(random);
      const auto decision = placer.Decide(pod);
      const auto fresh_policy = Memoryless(name, nodes);
      Placer fresh(placer.nodes(), *fresh_policy, 1);
      const auto again = fresh.Decide(pod);
      ASSERT_EQ(decision.has_value(), again.has_value()) << i;
      if (decision) {
        ASSERT_EQ(decision->node, again->node) << i;
        ASSERT_EQ(decision->gpus, again->gpus) << i;
        placer.Take(pod, *decision);
      }
      const auto size = placer.nodes().size();
      if (i % 7 == 0) placer.SetNode(static_cast<int>(random() % size), RandomNodes(random, 1)[0]);
      if (i % 50 == 1) placer.SetNode(static_cast<int>(random() % size), NodeRoom{});
      if (i % 60 == 2) placer.SetNode(static_cast<int>(size), RandomNodes(random, 1)[0]);
    }
  }
}

/// Counts how often a room is scored.
class CountingPolicy : public Policy {
 public:
  std::string_view name() const override { return "counting"; }
  float Score(const NodeRoom& room, double, const PodShape& shape, GpuChoice& choice) override {
    ++scored;
    choice = TightestGpus(room, shape);
    return static_cast<float>(-GpusLeft(room));
  }
  int scored = 0;
};

TEST(Placer, ScoresLikeNodesOnceAndAfterAChangeOnlyWhatChanged) {
  NodeRoom node{.cpu_milli = 100000, .memory_mib = 1000, .gpus = 8};
  std::fill_n(node.rest.begin(), 8, kWholeGpu);
  CountingPolicy policy;
  Placer placer(std::vector<NodeRoom>(500, node), policy, 1);
  const PodShape pod{.cpu_milli = 1, .gpus = 1, .share = {300, 300}};
  const auto first = placer.Decide(pod);
  EXPECT_LE(policy.scored, 2) << "one state, and the choice of its GPU";
  policy.scored = 0;
  placer.Take(pod, *first);
  placer.Decide(pod);
  EXPECT_LE(policy.scored, 2) << "the one new state";
  policy.scored = 0;
  placer.Decide(pod);
  EXPECT_LE(policy.scored, 1) << "nothing changed";
}

TEST(Placer, ANodeCanComeAndGo) {
  NodeRoom node{.cpu_milli = 10, .memory_mib = 10, .gpus = 1};
  node.rest[0] = kWholeGpu;
  CountingPolicy policy;
  Placer placer({}, policy, 1);
  const PodShape pod{.cpu_milli = 1, .gpus = 1, .share = kWholeGpu};
  EXPECT_FALSE(placer.Decide(pod));
  placer.SetNode(0, node);
  ASSERT_TRUE(placer.Decide(pod));
  placer.SetNode(0, NodeRoom{});
  EXPECT_FALSE(placer.Decide(pod));
}

TEST(Placer, ANodeThatBecomesLikeAnotherLeavesNoScoreBehind) {
  NodeRoom whole{.cpu_milli = 10, .memory_mib = 10, .gpus = 1};
  whole.rest[0] = kWholeGpu;
  NodeRoom half = whole;
  half.rest[0] = {500, 500};
  CountingPolicy policy;
  Placer placer({whole, half}, policy, 1);
  const PodShape pod{.cpu_milli = 1, .gpus = 1, .share = {300, 300}};
  ASSERT_EQ(placer.Decide(pod)->node, 1) << "the fuller one";
  placer.SetNode(1, whole);
  EXPECT_EQ(placer.Decide(pod)->node, 0);
  placer.SetNode(0, half);
  EXPECT_EQ(placer.Decide(pod)->node, 0);
}

}  // namespace
}  // namespace tessera::binpack
