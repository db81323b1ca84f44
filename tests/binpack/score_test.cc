#include "binpack/score.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

std::int64_t Score(const NodeInfo& node, const PodRequest& pod) {
  const auto placement = FindPlacement(node, pod);
  return placement ? SpreadScore(node, ReservationOf(*placement, pod.isolation)) : -1;
}

TEST(SpreadScore, IsTheFreePartAfterwards) {
  EXPECT_EQ(Score(Node(1), OneGpu(500, 50)), kMaxFineScore / 2);
  EXPECT_EQ(Score(Node(2), OneGpu(1000, 100)), kMaxFineScore / 2);
  EXPECT_EQ(Score(Node(4), OneGpu(1000, 100)), kMaxFineScore * 3 / 4);
  EXPECT_EQ(Score(Node(1), OneGpu(1000, 100)), 0);
  EXPECT_EQ(Score(Node(1), OneGpu(1000, 0)), kMaxFineScore / 2);
}

TEST(SpreadScore, StaysWithinBoundsAndIgnoresTheOrderOfDevices) {
  for (unsigned seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const NodeInfo node = random.ANode(8);
    const PodRequest pod = random.APod(3, 3);
    NodeInfo shuffled = node;
    std::shuffle(shuffled.devices.begin(), shuffled.devices.end(), random.engine());
    const auto score = Score(node, pod);
    EXPECT_EQ(score, Score(shuffled, pod));
    EXPECT_GE(score, -1);
    EXPECT_LE(score, kMaxFineScore);
  }
}

TEST(SpreadScore, SurvivesTheLargestNumbers) {
  std::vector<GpuDevice> gpus;
  for (int i = 0; i < kMaxGpusPerNode; ++i) gpus.push_back(Gpu(i, kMaxMemoryMib));
  for (GpuDevice& gpu : gpus) gpu.cores_percent = 100 * kWholeGpuCores;
  const NodeInfo node = MakeNode("n", gpus);
  const auto score = Score(node, Pod({App(0, {kMaxGpusPerNode, kMaxMemoryMib, 0, 100})}));
  EXPECT_GE(score, 0);
  EXPECT_LE(score, kMaxFineScore);
}

TEST(ToNodeScore, CoversTheWholeRange) {
  EXPECT_EQ(ToNodeScore(0), 0);
  EXPECT_EQ(ToNodeScore(kMaxFineScore / 2), 50);
  EXPECT_EQ(ToNodeScore(kMaxFineScore), kMaxNodeScore);
}

}  // namespace
}  // namespace tessera::binpack
