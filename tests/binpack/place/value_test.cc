#include <gtest/gtest.h>

#include "binpack/place/node_value.h"
#include "binpack/place/rest_worth.h"

namespace tessera::binpack {
namespace {

PodShape Slice(int thousandths, int cpu = 0) {
  const auto share = static_cast<std::int16_t>(thousandths);
  return {.cpu_milli = cpu, .gpus = 1, .share = {share, share}};
}
PodShape Slice2(int memory, int cores) {
  return {.gpus = 1,
          .share = {static_cast<std::int16_t>(memory), static_cast<std::int16_t>(cores)}};
}
Share Rest(int thousandths) {
  return {static_cast<std::int16_t>(thousandths), static_cast<std::int16_t>(thousandths)};
}
NodeRoom Node(int gpus, int cpu, int model = 0) {
  NodeRoom room{.cpu_milli = cpu,
                .model = static_cast<std::int16_t>(model),
                .gpus = static_cast<std::int16_t>(gpus)};
  for (int i = 0; i < gpus; ++i) room.rest[static_cast<std::size_t>(i)] = kWholeGpu;
  return room;
}
double Lost(const NodeValue& value, const NodeRoom& room) { return value.Lost(room, {}); }
ValueWeights Only(double ValueWeights::*term) {
  ValueWeights weights{.rest = 0, .scarcity = 0, .typical = 0, .stranded = 0, .cpu = 0, .slots = 0};
  weights.*term = 1;
  return weights;
}

TEST(RestWorth, IsTheDearestSetThatFits) {
  const struct {
    const char* name;
    std::vector<TypicalPod> pods;
    int rest;
    double want;
  } cases[] = {
      {"no demand: what it is", {}, 370, 0.37},
      {"whole GPUs only: a rest is worth nothing", {{Slice(1000), 1}}, 990, 0},
      {"47 % takes half of a GPU", {{Slice(470), 1}}, 470, 0.5},
      {"and 6 % more of a rest is worth no more", {{Slice(470), 1}}, 530, 0.5},
      {"a third of a GPU", {{Slice(330), 1}}, 670, 2.0 / 3},
      {"halves and quarters", {{Slice(500), 1}, {Slice(250), 1}}, 750, 0.75},
      {"large ones that fill up with small ones", {{Slice(800), 1}, {Slice(200), 1}}, 800, 0.8},
      {"large ones that nothing fills up take all", {{Slice(800), 1}, {Slice(1000), 1}}, 800, 1.0},
      {"a whole GPU", {{Slice(470), 1}, {Slice(320), 2}, {Slice(110), 3}}, 1000, 1.0},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_NEAR(RestWorth(MakeDemand(c.pods)).of(Rest(c.rest)), c.want, 1e-6);
  }
}

TEST(RestWorth, SmallPartnersOfLargeRequestsShareTheGpuWithThem) {
  // As many 20 % as 80 %: together they fill a GPU, and their prices add up to one.
  const RestWorth worth(MakeDemand(std::vector<TypicalPod>{{Slice(800), 1}, {Slice(200), 0.5}}));
  EXPECT_NEAR(worth.of(Rest(800)) + worth.of(Rest(200)), 1.0, 1e-6);
  EXPECT_GT(worth.of(Rest(800)), 0.9) << "20 % is scarce, so most GPUs go to one 80 %";
}

TEST(RestWorth, SeesThatOneDimensionWithoutTheOtherIsWorthLess) {
  const RestWorth worth(
      MakeDemand(std::vector<TypicalPod>{{Slice2(500, 250), 1}, {Slice2(500, 750), 1}}));
  EXPECT_NEAR(worth.of({1000, 1000}), 1.0, 1e-6);
  EXPECT_NEAR(worth.of({1000, 200}), 0.0, 1e-6);
  EXPECT_NEAR(worth.of({400, 1000}), 0.0, 1e-6);
  EXPECT_NEAR(worth.of({500, 250}), 0.5, 1e-6);
}

TEST(RestWorth, GrowsWithTheRest) {
  std::vector<TypicalPod> pods;
  for (int i = 1; i <= 30; ++i) pods.push_back({Slice2(30 * i + 13, 990 - 31 * i), 1.0 / i});
  const RestWorth worth(MakeDemand(pods));
  for (int m = 0; m < 1000; m += 50) {
    for (int c = 0; c < 1000; c += 50) {
      const double here = worth.of({static_cast<std::int16_t>(m), static_cast<std::int16_t>(c)});
      EXPECT_LE(here,
                worth.of({static_cast<std::int16_t>(m + 50), static_cast<std::int16_t>(c)}) + 1e-9);
      EXPECT_LE(here,
                worth.of({static_cast<std::int16_t>(m), static_cast<std::int16_t>(c + 50)}) + 1e-9);
      EXPECT_LE(here, 1 + 1e-9);
    }
  }
}

TEST(NodeValue, WhatTypicalPodsCannotUseCountsInBothResourcesWhereCpuIsScarce) {
  const std::vector<NodeRoom> nodes{Node(2, 10000)};
  // 0.625 GPUs and 5.75 CPUs a pod, so 9.2 CPUs go with a GPU and CPU runs out first.
  const NodeValue value(
      MakeDemand(std::vector<TypicalPod>{{Slice(500, 1000), 3}, {Slice(1000, 20000), 1}}),
      FleetOf(nodes), Only(&ValueWeights::cpu));
  NodeRoom room = Node(2, 10000);
  room.rest[0] = Rest(400);
  // Three quarters can use the whole GPU, not the 0.4, and the CPU; the last quarter never has the
  // CPU.
  EXPECT_NEAR(Lost(value, room), 0.75 * 0.4 + 0.25 * 1.4 + 0.25 * 10 / 9.2, 1e-6);
  room.cpu_milli = 999;
  EXPECT_NEAR(Lost(value, room), 1.4 + 0.999 / 9.2, 1e-6);
}

TEST(NodeValue, TypicalIsFgdsMeasureWhateverCpuIsWorth) {
  const NodeValue value(MakeDemand(std::vector<TypicalPod>{{Slice(500), 1}, {Slice(1000), 1}}),
                        FleetOf(std::vector<NodeRoom>{Node(2, 0)}), Only(&ValueWeights::typical));
  NodeRoom room = Node(2, 0);
  room.rest[0] = Rest(400);
  EXPECT_NEAR(Lost(value, room), 0.4, 1e-6);
  room.rest[0] = Rest(500);
  EXPECT_NEAR(Lost(value, room), 0.25, 1e-6) << "of no use to half of the pods";
}

TEST(NodeValue, RestIsWhatNoSetOfRequestsFills) {
  const std::vector<NodeRoom> nodes{Node(2, 1000)};
  const NodeValue value(MakeDemand(std::vector<TypicalPod>{{Slice(470), 1}}), FleetOf(nodes),
                        Only(&ValueWeights::rest));
  NodeRoom room = Node(3, 1000);
  EXPECT_NEAR(Lost(value, room), 0, 1e-9);
  room.rest[0] = Rest(530);  // worth a half
  room.rest[1] = Rest(400);  // worth nothing
  EXPECT_NEAR(Lost(value, room), 0.03 + 0.4, 1e-6);
}

TEST(NodeValue, ScarcityIsWhatPickyPodsLoseTimesTheRarityOfTheirModels) {
  const std::vector<NodeRoom> nodes{Node(1, 1000, 0), Node(1, 1000, 0), Node(1, 1000, 0),
                                    Node(1, 1000, 1)};
  PodShape picky = Slice(600);
  picky.models = ModelSet{1} << 1;
  const NodeValue value(MakeDemand(std::vector<TypicalPod>{{Slice(1000), 3}, {picky, 1}}),
                        FleetOf(nodes), Only(&ValueWeights::scarcity));
  // A quarter of the pods can use a quarter of the GPUs: 1/4 × (4 − 1) of what they cannot use.
  EXPECT_NEAR(Lost(value, Node(1, 1000, 0)), 0.75, 1e-6);
  EXPECT_NEAR(Lost(value, Node(1, 1000, 1)), 0, 1e-6);
  NodeRoom used = Node(1, 1000, 1);
  used.rest[0] = Rest(500);
  EXPECT_NEAR(Lost(value, used), 0.75 * 0.5, 1e-6);
}

TEST(NodeValue, ScarceNodesAreDearerThanCommonOnes) {
  std::vector<NodeRoom> nodes(9, Node(1, 1000, 0));
  nodes.push_back(Node(1, 1000, 1));
  PodShape picky = Slice(1000);
  picky.models = ModelSet{1} << 1;
  const NodeValue value(MakeDemand(std::vector<TypicalPod>{{Slice(1000), 1}, {picky, 1}}),
                        FleetOf(nodes), Only(&ValueWeights::scarcity));
  const auto cost = [&](int model) {
    NodeRoom full = Node(1, 1000, model);
    full.rest[0] = Rest(0);
    return Lost(value, full) - Lost(value, Node(1, 1000, model));
  };
  EXPECT_GT(cost(1), cost(0) + 1) << "the tenth node is all that the picky pods have";
}

TEST(NodeValue, GpusWithoutCpuAreStranded) {
  const std::vector<NodeRoom> nodes{Node(4, 40000)};
  ValueWeights weights = Only(&ValueWeights::stranded);
  const NodeValue value(MakeDemand(std::vector<TypicalPod>{{Slice(1000, 10000), 1}}),
                        FleetOf(nodes), weights);
  EXPECT_NEAR(Lost(value, Node(4, 40000)), 0, 1e-9);
  EXPECT_NEAR(Lost(value, Node(4, 25000)), 1.5, 1e-9);
  EXPECT_NEAR(Lost(value, Node(0, 0)), 0, 1e-9);
}

TEST(NodeValue, IdleCpuWithoutUseCountsOnlyWhereCpuIsScarce) {
  const auto lost = [](int cpu_of_node) {
    const std::vector<NodeRoom> nodes{Node(1, cpu_of_node)};
    const NodeValue value(MakeDemand(std::vector<TypicalPod>{{Slice(1000, 10000), 1}}),
                          FleetOf(nodes), Only(&ValueWeights::cpu));
    return Lost(value, Node(0, 5000));
  };
  EXPECT_NEAR(lost(10000), 0.5, 1e-6);
  EXPECT_LT(lost(20000), 0.001);
}

TEST(NodeValue, SlotsRiseInPriceAsTheyGetScarce) {
  const std::vector<NodeRoom> nodes(10, Node(8, 8));
  const PodShape eight{.gpus = 8, .share = kWholeGpu};
  const NodeValue value(MakeDemand(std::vector<TypicalPod>{{eight, 1}, {Slice(1000), 8}}),
                        FleetOf(nodes), Only(&ValueWeights::slots));
  SlotCounts free{};
  free[8] = 10;
  const SlotPrices many = value.PricesFor(free);
  free[8] = 1;
  const SlotPrices few = value.PricesFor(free);
  EXPECT_GT(few[8], many[8]);
  EXPECT_EQ(few[4], 0) << "nobody asks for four";
  NodeRoom broken = Node(8, 8);
  broken.rest[3] = Rest(500);
  EXPECT_NEAR(value.Lost(broken, few) - value.Lost(Node(8, 8), few), few[8], 1e-9);
}

}  // namespace
}  // namespace tessera::binpack
