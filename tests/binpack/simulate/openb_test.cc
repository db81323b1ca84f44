// The published experiment on the real trace, where ../shared/data/openb is there beside the
// checkout.
#include <gtest/gtest.h>

#include "binpack/simulate/replay.h"
#include "tests/binpack/simulate/files.h"

namespace tessera::binpack::simulate {
namespace {

const std::string kFolder = SharedData("openb/");
constexpr int kSeeds = 5;

std::optional<Trace> Load(const std::string& variant) {
  Trace trace;
  const auto nodes = ReadFile(kFolder + "openb_node_list_gpu_node.csv");
  const auto pods = ReadFile(kFolder + "openb_pod_list_" + variant + ".csv");
  if (!nodes || !pods) return std::nullopt;
  EXPECT_TRUE(ParseNodes(*nodes, trace));
  EXPECT_TRUE(ParsePods(*pods, trace));
  return trace;
}

struct Means {
  double at_100 = 0;
  double at_130 = 0;
  double failed_at_100 = 0;
};

Means RunPolicy(const Trace& trace, const std::string& policy) {
  const Demand demand = DemandOf(trace.pods);
  Means means;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const auto result =
        Replay(trace, demand, MakePolicy(policy, trace.nodes, demand, seed), {.seed = seed});
    means.at_100 += 100 * result.marks[0].cores / kSeeds;
    means.at_130 += 100 * result.marks[3].cores / kSeeds;
    means.failed_at_100 += 1.0 * result.marks[0].failed / kSeeds;
  }
  return means;
}

struct Published {
  const char* variant;
  double random, best_fit, hami, fgd;
};
constexpr Published kPublished[] = {
    {"default", 86.5, 93.0, 89.2, 95.20},     {"gpushare20", 87.7, 94.3, 90.5, 96.46},
    {"gpushare40", 84.9, 91.4, 87.8, 93.97},  {"gpushare80", 80.9, 86.8, 82.9, 89.11},
    {"gpushare100", 78.7, 84.6, 81.2, 86.61}, {"multigpu20", 86.7, 93.7, 91.0, 95.60},
    {"multigpu30", 86.4, 94.5, 92.1, 96.37},  {"multigpu50", 81.6, 95.5, 94.7, 97.13},
    {"gpuspec05", 86.4, 93.0, 89.1, 95.04},   {"gpuspec10", 86.5, 93.1, 89.2, 94.69},
    {"gpuspec25", 85.2, 85.7, 86.8, 93.94},   {"gpuspec33", 83.9, 80.4, 85.0, 87.85},
    {"cpu0", 89.7, 93.9, 94.4, 94.90},        {"cpu050", 89.0, 93.6, 94.2, 95.05},
    {"cpu100", 87.5, 93.2, 91.1, 95.17},      {"cpu235", 81.0, 91.6, 82.2, 94.18},
    {"cpu250", 79.9, 91.2, 80.9, 93.27},      {"cpu300", 76.1, 85.8, 76.2, 86.02},
};

/// Within 0.4 points. Random spreads more where many pods want several GPUs: 1.07 points between
/// seeds on multigpu50 and 0.44 on multigpu30 (40 seeds), so that two means of five seeds may be
/// that far apart.
double RandomTolerance(const std::string& variant) {
  if (variant == "multigpu50") return 1.4;
  return variant == "multigpu30" ? 0.7 : 0.4;
}

TEST(Openb, ReferencePoliciesReproduceThePublishedFigures) {
  for (const Published& published : kPublished) {
    SCOPED_TRACE(published.variant);
    const auto trace = Load(published.variant);
    if (!trace) GTEST_SKIP() << "no trace in " << kFolder;
    EXPECT_NEAR(RunPolicy(*trace, "random").at_100, published.random,
                RandomTolerance(published.variant));
    EXPECT_NEAR(RunPolicy(*trace, "best-fit").at_100, published.best_fit, 0.4);
    EXPECT_NEAR(RunPolicy(*trace, "hami").at_100, published.hami, 0.4);
    EXPECT_NEAR(RunPolicy(*trace, "fgd").at_100, published.fgd, 0.4);
  }
}

TEST(Openb, FragmentReachesItsGoalsAndBeatsFgd) {
  const struct {
    const char* variant;
    double published_fgd;
    double reach;
  } goals[] = {
      {"default", 95.20, 96.0},   {"gpushare100", 86.61, 88.2}, {"multigpu50", 97.13, 97.4},
      {"gpuspec33", 87.85, 94.3}, {"cpu250", 93.27, 94.9},
  };
  for (const auto& goal : goals) {
    SCOPED_TRACE(goal.variant);
    const auto trace = Load(goal.variant);
    if (!trace) GTEST_SKIP() << "no trace in " << kFolder;
    const Means fragment = RunPolicy(*trace, "fragment");
    const Means fgd = RunPolicy(*trace, "fgd");
    EXPECT_GE(fragment.at_100, goal.reach);
    EXPECT_GT(fragment.at_100, goal.published_fgd);
    EXPECT_GT(fragment.at_100, fgd.at_100);
    EXPECT_GT(fragment.at_130, fgd.at_130);
    EXPECT_LT(fragment.failed_at_100, fgd.failed_at_100);
  }
}

TEST(Openb, TwoDimensionsCostWhatTheyMust) {
  auto trace = Load("default");
  if (!trace) GTEST_SKIP() << "no trace in " << kFolder;
  trace->pods = WithMemoryCorrelation(trace->pods, 0, 7);
  EXPECT_GE(RunPolicy(*trace, "fragment").at_100, 91.3);
}

}  // namespace
}  // namespace tessera::binpack::simulate
