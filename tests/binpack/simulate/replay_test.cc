#include "binpack/simulate/replay.h"

#include <gtest/gtest.h>

#include "binpack/simulate/churn.h"
#include "tests/binpack/simulate/files.h"

namespace tessera::binpack::simulate {
namespace {

Trace SmallTrace() {
  Trace trace;
  const std::string folder = std::string(TESSERA_SOURCE_DIR) + "/binpack/simulate/data/";
  EXPECT_TRUE(ParseNodes(*ReadFile(folder + "nodes.csv"), trace));
  EXPECT_TRUE(ParsePods(*ReadFile(folder + "pods.csv"), trace));
  return trace;
}

ReplayResult RunPolicy(const Trace& trace, const std::string& policy, ReplayOptions options = {}) {
  const Demand demand = DemandOf(trace.pods);
  return Replay(trace, demand, MakePolicy(policy, trace.nodes, demand, options.seed), options);
}

TEST(Replay, OneGpuTakesWhatFitsAndRefusesTheRest) {
  Trace trace;
  ASSERT_TRUE(ParseNodes("sn,cpu_milli,memory_mib,gpu,model\na,10000,1000,1,X\n", trace));
  ASSERT_TRUE(ParsePods("cpu_milli,memory_mib,num_gpu,gpu_milli\n1,1,1,400\n", trace));
  for (const std::string& policy : PolicyNames()) {
    SCOPED_TRACE(policy);
    const auto result = RunPolicy(trace, policy, {.load = 1.2, .marks = {0.4, 0.8, 1.2}});
    ASSERT_EQ(result.marks.size(), 3U);
    EXPECT_NEAR(result.marks[0].cores, 0.4, 1e-9);
    EXPECT_NEAR(result.marks[1].cores, 0.8, 1e-9);
    EXPECT_NEAR(result.marks[2].cores, 0.8, 1e-9);
    EXPECT_EQ(result.marks[2].failed, 1);
    EXPECT_EQ(result.arrived, 3);
    EXPECT_NEAR(result.fragmentation, 0.2, 1e-9);
  }
}

TEST(Replay, IsTheSameForTheSameSeed) {
  const Trace trace = SmallTrace();
  for (const std::string& policy : PolicyNames()) {
    SCOPED_TRACE(policy);
    const auto a = RunPolicy(trace, policy, {.seed = 4});
    const auto b = RunPolicy(trace, policy, {.seed = 4});
    EXPECT_EQ(a.failed, b.failed);
    EXPECT_EQ(a.marks[3].cores, b.marks[3].cores);
    EXPECT_NE(a.marks[0].cores, RunPolicy(trace, policy, {.seed = 5}).marks[0].cores);
  }
}

TEST(Replay, TimesDecisionsWithTheClockThatItIsGiven) {
  std::int64_t now = 0;
  const auto result = RunPolicy(SmallTrace(), "best-fit", {.clock = [&] { return now += 1500; }});
  EXPECT_NEAR(result.mean_us, 1.5, 1e-9);
  EXPECT_NEAR(result.p99_us, 1.5, 1e-9);
}

TEST(Replay, AnObserverReplacesThePolicyOnTheWay) {
  const Trace trace = SmallTrace();
  const Demand demand = DemandOf(trace.pods);
  int seen = 0;
  const auto result =
      Replay(trace, demand, MakePolicy("random", trace.nodes, demand, 1), {}, [&](const PodShape&) {
        return ++seen == 10 ? MakePolicy("fragment", trace.nodes, demand, 1) : nullptr;
      });
  EXPECT_EQ(seen, result.arrived);
  EXPECT_GT(result.marks[0].cores, RunPolicy(trace, "random").marks[0].cores);
}

TEST(Replay, FragmentHoldsMoreThanTheOthersOnTheSmallCluster) {
  const Trace trace = SmallTrace();
  const auto mean = [&](const std::string& policy) {
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed)
      sum += RunPolicy(trace, policy, {.seed = seed}).marks[3].cores;
    return sum / 5;
  };
  const double fragment = mean("fragment");
  for (const char* policy : {"random", "best-fit", "hami", "fgd"})
    EXPECT_GT(fragment, mean(policy)) << policy;
}

TEST(Churn, HoldsTheOfferedLoadWhileThereIsRoom) {
  const Trace trace = SmallTrace();
  const Demand demand = DemandOf(trace.pods);
  const auto half = Churn(trace, MakePolicy("fragment", trace.nodes, demand, 1), {.offered = 0.4});
  EXPECT_NEAR(half.allocated, 0.4, 0.06);
  EXPECT_NEAR(half.blocked, 0, 0.005);
  const auto full = Churn(trace, MakePolicy("fragment", trace.nodes, demand, 1), {.offered = 1.5});
  EXPECT_GT(full.blocked, 0.2);
  EXPECT_LE(full.allocated, 1);
}

}  // namespace
}  // namespace tessera::binpack::simulate
