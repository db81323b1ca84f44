// What holds for every demand, checked against trying everything.
#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "binpack/place/node_value.h"

namespace tessera::binpack {
namespace {

/// How many of each of two sizes lie on one GPU.
using Pattern = std::array<int, 2>;

std::vector<Pattern> PatternsWithin(const std::array<Share, 2>& sizes, const Share& rest) {
  std::vector<Pattern> patterns;
  const auto fits = [&](int a, int b) {
    return a * sizes[0].memory + b * sizes[1].memory <= rest.memory &&
           a * sizes[0].cores + b * sizes[1].cores <= rest.cores;
  };
  for (int a = 0; fits(a, 0); ++a) {
    for (int b = 0; fits(a, b); ++b) patterns.push_back({a, b});
  }
  return patterns;
}

/// The fewest GPUs that the demand can be cut from, fractions allowed: the best corner of the dual,
/// max demand · price with no pattern worth more than a GPU.
double FewestGpus(const std::vector<Pattern>& patterns, const std::array<double, 2>& demand) {
  struct Line {
    double a, b, at_most;
  };
  std::vector<Line> lines{{-1, 0, 0}, {0, -1, 0}};
  for (const Pattern& pattern : patterns) lines.push_back({1.0 * pattern[0], 1.0 * pattern[1], 1});
  double best = 0;
  for (const Line& p : lines) {
    for (const Line& q : lines) {
      const double determinant = p.a * q.b - p.b * q.a;
      if (std::abs(determinant) < 1e-9) continue;
      const double x = (p.at_most * q.b - p.b * q.at_most) / determinant;
      const double y = (p.a * q.at_most - p.at_most * q.a) / determinant;
      if (std::all_of(lines.begin(), lines.end(), [&](const Line& line) {
            return line.a * x + line.b * y <= line.at_most + 1e-9;
          })) {
        best = std::max(best, demand[0] * x + demand[1] * y);
      }
    }
  }
  return best;
}

TEST(RestWorth, AgreesWithTryingEveryPattern) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    std::array<Share, 2> sizes{};
    for (Share& size : sizes) {
      size.memory = static_cast<std::int16_t>(10 * (8 + random() % 90));
      size.cores =
          round % 2 == 0 ? size.memory : static_cast<std::int16_t>(10 * (8 + random() % 90));
    }
    if (sizes[0] == sizes[1]) continue;
    const std::array<double, 2> demand{1.0 + static_cast<double>(random() % 9),
                                       1.0 + static_cast<double>(random() % 9)};
    const RestWorth worth(MakeDemand(std::vector<TypicalPod>{
        {{.gpus = 1, .share = sizes[0]}, demand[0]}, {{.gpus = 1, .share = sizes[1]}, demand[1]}}));
    const std::array<double, 2> worths{worth.of(sizes[0]), worth.of(sizes[1])};
    EXPECT_NEAR(demand[0] * worths[0] + demand[1] * worths[1],
                FewestGpus(PatternsWithin(sizes, kWholeGpu), demand), 1e-6)
        << "at its prices the demand is worth the GPUs that it takes";
    for (int i = 0; i < 10; ++i) {
      const Share rest{static_cast<std::int16_t>(10 * (random() % 101)),
                       static_cast<std::int16_t>(10 * (random() % 101))};
      double best = 0;
      for (const Pattern& pattern : PatternsWithin(sizes, rest)) {
        best = std::max(best, pattern[0] * worths[0] + pattern[1] * worths[1]);
      }
      EXPECT_NEAR(worth.of(rest), best, 1e-6) << rest.memory << " " << rest.cores;
    }
  }
}

TEST(NodeValue, PricesOfSlotsNeverRiseWithTheirNumberAndAreNeverMoreThanFull) {
  const std::vector<NodeRoom> nodes(50, NodeRoom{.cpu_milli = 1, .gpus = 8});
  std::vector<TypicalPod> pods;
  for (const int k : {2, 4, 8}) {
    pods.push_back({{.gpus = static_cast<std::int16_t>(k), .share = kWholeGpu}, 1.0 / k});
  }
  const NodeValue value(MakeDemand(pods), FleetOf(nodes), {});
  const SlotPrices full = value.PricesFor({});
  SlotPrices before = full;
  for (int free = 0; free <= 200; ++free) {
    SlotCounts counts{};
    counts.fill(free);
    const SlotPrices prices = value.PricesFor(counts);
    for (std::size_t k = 0; k < prices.size(); ++k) {
      EXPECT_LE(prices[k], before[k]);
      EXPECT_GE(prices[k], 0);
      EXPECT_EQ(prices[k] > 0, k == 2 || k == 4 || k == 8) << "others are not asked for";
    }
    before = prices;
  }
  EXPECT_LT(before[8], full[8] / 4) << "a hundred times what is kept";
}

TEST(NodeValue, IsBlindToTheOrderOfGpusAndToTheCapacityOfTheNode) {
  std::mt19937 random(8);
  const std::vector<NodeRoom> nodes(4, NodeRoom{.cpu_milli = 64000, .gpus = 4});
  const NodeValue value(
      MakeDemand(std::vector<TypicalPod>{{{.cpu_milli = 9000, .gpus = 1, .share = {300, 500}}, 3},
                                         {{.cpu_milli = 30000, .gpus = 2, .share = kWholeGpu}, 1},
                                         {{.cpu_milli = 8000}, 2}}),
      FleetOf(nodes), {});
  SlotPrices prices{};
  prices[2] = 0.4;
  for (int round = 0; round < 200; ++round) {
    NodeRoom room{.cpu_milli = static_cast<std::int32_t>(random() % 64000), .gpus = 4};
    for (std::size_t i = 0; i < 4; ++i) {
      room.rest[i] = random() % 3 == 0 ? kWholeGpu
                                       : Share{static_cast<std::int16_t>(random() % 1001),
                                               static_cast<std::int16_t>(random() % 1001)};
    }
    const double lost = value.Lost(room, prices);
    std::shuffle(room.rest.begin(), room.rest.begin() + 4, random);
    room.cpu_capacity_milli = 64000;
    EXPECT_NEAR(value.Lost(room, prices), lost, 1e-9);
  }
}

}  // namespace
}  // namespace tessera::binpack
