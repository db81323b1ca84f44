#include "binpack/place/learned_demand.h"

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

}  // namespace
}  // namespace tessera::binpack
