// What containers get of a GPU under the arbiter, in simulated time.
#include <gmock/gmock.h>

#include "tests/agent/arbiter/simulated_gpu.h"

namespace tessera::agent::test {
namespace {

using region::Policy;

constexpr std::uint64_t kStart = kSecond;  // of the simulation's clock
constexpr std::uint64_t kRun = 20 * kSecond;

struct Mix {
  std::vector<int> percents;
  std::vector<std::uint64_t> kernels_ns;  ///< repeated
};

class Shares : public ::testing::TestWithParam<Mix> {};

TEST_P(Shares, AreExactAndTheGpuIsFull) {
  std::vector<Habits> habits;
  for (std::size_t i = 0; i < GetParam().percents.size(); ++i) {
    Habits one;
    one.percent = GetParam().percents[i];
    one.kernel_ns = GetParam().kernels_ns[i % GetParam().kernels_ns.size()];
    habits.push_back(one);
  }
  SimulatedGpu gpu(habits);
  gpu.Run(kRun);
  const double total = gpu.Total(kRun);
  EXPECT_GE(total, 97.0);
  for (std::size_t i = 0; i < habits.size(); ++i) {
    EXPECT_NEAR(100 * gpu.Share(i, kRun) / total, habits[i].percent, 1.0) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Mixes, Shares,
    ::testing::Values(Mix{{30, 70}, {500 * kUs}}, Mix{{50, 50}, {500 * kUs}},
                      Mix{{10, 20, 70}, {500 * kUs}}, Mix{{25, 25, 25, 25}, {500 * kUs}},
                      Mix{{30, 70}, {50 * kUs}}, Mix{{30, 70}, {5 * kMs}},
                      Mix{{30, 70}, {50 * kMs}}, Mix{{50, 50}, {50 * kMs, 50 * kUs}},
                      Mix{{70, 30}, {50 * kMs, 500 * kUs}},
                      Mix{{10, 20, 70}, {50 * kMs, 50 * kUs, 5 * kMs}},
                      Mix{{25, 25, 25, 25}, {50 * kUs, 500 * kUs, 5 * kMs, 50 * kMs}}));

TEST(Arbiter, AnIdleShareIsUsedByTheOther) {
  SimulatedGpu gpu({{.percent = 30}, {.percent = 70, .to_ns = kStart}});
  gpu.Run(10 * kSecond);
  EXPECT_GE(gpu.Share(0, 10 * kSecond), 97.0);
}

}  // namespace
}  // namespace tessera::agent::test
