// What the policies that Tessera is measured against take, by hand.
#include <cmath>

#include <gtest/gtest.h>

#include "binpack/place/placer.h"

namespace tessera::binpack {
namespace {

Share Rest(int thousandths) {
  return {static_cast<std::int16_t>(thousandths), static_cast<std::int16_t>(thousandths)};
}
PodShape Slice(int thousandths, int cpu = 0) {
  return {.cpu_milli = cpu, .gpus = 1, .share = Rest(thousandths)};
}
NodeRoom Node(std::initializer_list<int> rests, int cpu = 8000, int memory = 8000) {
  NodeRoom room{.cpu_milli = cpu,
                .memory_mib = memory,
                .cpu_capacity_milli = 10000,
                .memory_capacity_mib = 10000};
  for (const int rest : rests) room.rest[static_cast<std::size_t>(room.gpus++)] = Rest(rest);
  return room;
}
std::optional<Decision> Decide(const std::vector<NodeRoom>& nodes, Policy& policy,
                               const PodShape& pod) {
  return Placer(nodes, policy, 1).Decide(pod);
}

TEST(Hami, TakesTheFullestNodeBeforeThePlacementAndOnItTheFullestGpuThatFits) {
  const auto policy = MakeHamiPolicy();
  // Half of each node but the last is in use; on the last, five eighths.
  const std::vector<NodeRoom> nodes{Node({1000, 0}), Node({500, 500}), Node({0, 400, 600, 500})};
  EXPECT_EQ(Decide(nodes, *policy, Slice(300))->node, 2);
  EXPECT_EQ(Decide(nodes, *policy, Slice(300))->gpus[0], 1);
  EXPECT_EQ(Decide(nodes, *policy, Slice(450))->gpus[0], 3) << "400 is too little";
  EXPECT_EQ(Decide(nodes, *policy, Slice(700))->node, 0) << "nothing else has room";
  const std::vector<NodeRoom> equals(nodes.begin(), nodes.begin() + 2);
  EXPECT_EQ(Decide(equals, *policy, Slice(300))->node, 0) << "blind to the rest that it leaves";
}

TEST(Hami, LeavesPodsWithoutGpusToKubeScheduler) {
  const auto policy = MakeHamiPolicy();
  const PodShape pod{.cpu_milli = 1000, .memory_mib = 1000};
  const auto better = [&](const NodeRoom& a, const NodeRoom& b) {
    return Decide({b, a}, *policy, pod)->node == 1;
  };
  // Left afterwards: 70 % and 70 %, so 70 + 100; against 80 % and 40 %: 60 + 80.
  EXPECT_TRUE(better(Node({1000}, 8000, 8000), Node({1000}, 9000, 5000)));
  // 60 + 100 against 55 + 65: the first has less CPU left, in balance.
  EXPECT_TRUE(better(Node({1000}, 7000, 7000), Node({1000}, 10000, 3000)));
  // A large node with more CPU left than the small one, but less of its capacity.
  NodeRoom large = Node({1000}, 20000, 20000);
  large.cpu_capacity_milli = large.memory_capacity_mib = 40000;
  EXPECT_TRUE(better(Node({1000}, 9000, 9000), large));
  // Parts of a point do not count: the first of equals.
  EXPECT_EQ(Decide({Node({1000}, 8000, 8000), Node({1000}, 8050, 8050)}, *policy, pod)->node, 0);
}

TEST(BestFit, LeavesTheLeastOfCpuAndGpuTogether) {
  const std::vector<NodeRoom> nodes{Node({1000, 1000}, 2000), Node({600}, 8000), Node({600}, 7000)};
  const auto policy = MakeBestFitPolicy(nodes);
  // In parts of the largest node: 2000/8000 + 2.0/2, 8000/8000 + 0.6/2, 7000/8000 + 0.6/2.
  EXPECT_EQ(Decide(nodes, *policy, Slice(500))->node, 2);
  EXPECT_EQ(Decide({nodes[0], nodes[1]}, *policy, Slice(500))->node, 0);
}

TEST(Fgd, ScoresTheFragmentThroughASigmoid) {
  const auto policy =
      MakeFgdPolicy(MakeDemand(std::vector<TypicalPod>{{Slice(500), 1}, {Slice(1000), 1}}));
  const NodeRoom room = Node({500, 1000});
  // 1.5 left: halves can use all, whole ones all but the half GPU.
  const double before = policy->Value(room);
  EXPECT_NEAR(before, 0.5 * 0 + 0.5 * 0.5, 1e-9);
  GpuChoice choice{};
  // The half GPU: 1.0 is left, and no fragment. The whole one: 1.0, of no use to whole ones.
  const float score = policy->Score(room, before, Slice(500), choice);
  EXPECT_EQ(choice[0], 0);
  EXPECT_EQ(score, std::floor(100 / (1 + std::exp(-0.25))));
}

TEST(Fgd, ForgetsTheRarestPods) {
  const auto policy =
      MakeFgdPolicy(MakeDemand(std::vector<TypicalPod>{{Slice(500), 96}, {Slice(1000), 4}}));
  EXPECT_NEAR(policy->Value(Node({500})), 0, 1e-9) << "halves are more than 95 % of all";
}

TEST(Random, TakesEveryNodeAndThenEveryGpuThatFitsAlikeOften) {
  const std::vector<NodeRoom> nodes{Node({1000}), Node({1000, 200, 700, 900}), Node({200})};
  const auto policy = MakeRandomPolicy(3);
  Placer placer(nodes, *policy, 3);
  constexpr int kDraws = 6000;
  std::array<int, 3> by_node{};
  std::array<int, 4> by_gpu{};
  for (int i = 0; i < kDraws; ++i) {
    const auto decision = placer.Decide(Slice(500));
    ++by_node[static_cast<std::size_t>(decision->node)];
    if (decision->node == 1) ++by_gpu[static_cast<std::size_t>(decision->gpus[0])];
  }
  EXPECT_NEAR(by_node[0], kDraws / 2, 200) << "not one in four, the part of its GPUs";
  EXPECT_EQ(by_node[2], 0);
  EXPECT_EQ(by_gpu[1], 0);
  for (const std::size_t gpu : {0U, 2U, 3U}) EXPECT_NEAR(by_gpu[gpu], kDraws / 6, 160);
}

}  // namespace
}  // namespace tessera::binpack
