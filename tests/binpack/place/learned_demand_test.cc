#include "binpack/place/learned_demand.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace tessera::binpack {
namespace {

PodShape Shape(int cpu) { return {.cpu_milli = cpu, .gpus = 1, .share = {500, 250}, .models = 6}; }

double FrequencyOf(const Demand& demand, const PodShape& shape) {
  for (const auto& pod : demand.pods) {
    if (pod.shape == shape) return pod.frequency;
  }
  return 0;
}

TEST(LearnedDemand, KnowsNothingAtFirst) { EXPECT_TRUE(LearnedDemand().demand().pods.empty()); }

TEST(LearnedDemand, CountsShapesWhateverTheirHostMemory) {
  LearnedDemand learned;
  PodShape other = Shape(1);
  other.memory_mib = 77;
  for (int i = 0; i < 3; ++i) learned.Observe(Shape(1));
  learned.Observe(other);
  for (int i = 0; i < 4; ++i) learned.Observe(Shape(2));
  EXPECT_NEAR(FrequencyOf(learned.demand(), Shape(1)), 0.5, 0.001);
  EXPECT_EQ(learned.shapes(), 2U);
}

TEST(LearnedDemand, ForgetsWhatDoesNotComeAnyMore) {
  LearnedDemand learned(0.99);
  for (int i = 0; i < 5000; ++i) learned.Observe(Shape(1));
  for (int i = 0; i < 69; ++i) learned.Observe(Shape(2));  // the half-life
  EXPECT_NEAR(FrequencyOf(learned.demand(), Shape(1)), 0.5, 0.01);
  for (int i = 0; i < 5000; ++i) learned.Observe(Shape(2));
  EXPECT_LT(FrequencyOf(learned.demand(), Shape(1)), 1e-6);
}

TEST(LearnedDemand, StaysBoundedAndKeepsWhatIsFrequent) {
  LearnedDemand learned;
  for (int i = 0; i < 20'000; ++i) {
    learned.Observe(Shape(i % 3 == 0 ? 1 : 1000 + i));
  }
  EXPECT_EQ(learned.shapes(), LearnedDemand::kMaxShapes);
  EXPECT_GT(FrequencyOf(learned.demand(), Shape(1)), 0.9);
}

TEST(LearnedDemand, GoesOnAfterARestartAsIfThereHadBeenNone) {
  LearnedDemand before(0.999);
  for (int i = 0; i < 3000; ++i) before.Observe(Shape(i % 7));
  LearnedDemand after(0.999);
  ASSERT_TRUE(after.Restore(before.Save()));
  EXPECT_EQ(after.Save(), before.Save());
  before.Observe(Shape(3));
  after.Observe(Shape(3));
  for (int i = 0; i < 7; ++i) {
    EXPECT_NEAR(FrequencyOf(after.demand(), Shape(i)), FrequencyOf(before.demand(), Shape(i)),
                1e-9);
  }
}

TEST(LearnedDemand, RefusesWhatItDidNotWriteAndKeepsWhatItKnew) {
  LearnedDemand learned;
  learned.Observe(Shape(1));
  const std::string known = learned.Save();
  const std::string header = "tessera-demand 1\n";
  for (const std::string& text :
       {std::string(), std::string("tessera-demand 2\n"), header + "1 1 500 250 6\n",
        header + "1 1 500 250 6 1 extra\n", header + "1 1 500 250 6 -1\n",
        header + "1 1 500 250 6 nan\n", header + "1 99 500 250 6 1\n",
        header + "1 1 1001 250 6 1\n", header + "-1 1 500 250 6 1\n", header + "x\n"}) {
    SCOPED_TRACE(text);
    EXPECT_FALSE(learned.Restore(text));
    EXPECT_EQ(learned.Save(), known);
  }
  std::string many = header;
  for (int i = 0; i < 300; ++i) many += std::to_string(i) + " 1 500 250 6 1\n";
  EXPECT_FALSE(learned.Restore(many));
}

TEST(LearnedDemand, WhateverTheTextIsItFailsOrMakesSense) {
  LearnedDemand source;
  for (int i = 0; i < 40; ++i) source.Observe(Shape(i % 5));
  const std::string good = source.Save();
  std::mt19937 random(9);
  constexpr std::string_view kBytes("\0\n -+.e019x\xff", 13);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text = good;
    for (int edits = 0; edits < 3; ++edits) text[random() % text.size()] = kBytes[random() % 13];
    text.resize(random() % 2 == 0 ? text.size() : random() % text.size());
    LearnedDemand learned;
    learned.Observe(Shape(77));
    const std::string known = learned.Save();
    if (!learned.Restore(text)) {
      ++refused;
      ASSERT_EQ(learned.Save(), known);
      continue;
    }
    double sum = 0;
    for (const auto& [shape, frequency] : learned.demand().pods) {
      ASSERT_TRUE(shape.cpu_milli >= 0 && shape.gpus >= 0 && shape.gpus <= kMaxRoomGpus);
      ASSERT_TRUE(Within(Share{0, 0}, shape.share) && Within(shape.share, kWholeGpu));
      sum += frequency;
    }
    ASSERT_TRUE(learned.shapes() == 0 || std::abs(sum - 1) < 1e-9);
  }
  EXPECT_GT(refused, 500);
  EXPECT_LT(refused, 2000);
}

}  // namespace
}  // namespace tessera::binpack
