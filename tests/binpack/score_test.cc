#include "binpack/score.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

std::int64_t Score(PlacementPolicy policy, const NodeInfo& node, const PodRequest& pod) {
  const auto placement = FindPlacement(node, pod);
  if (!placement) return -1;
  return FineScore(policy, node, ReservationOf(*placement, pod.isolation), DefaultWorkload(),
                   Measure(RestsOf(node), DefaultWorkload()));
}

TEST(PackScore, PrefersTheNodeThatIsLeftWithLessFragment) {
  const auto pack = PlacementPolicy::kPack;
  NodeInfo half = Node(8);
  Use(half, 0, {500, 50});
  NodeInfo quarter = Node(8);
  Use(quarter, 0, {250, 25});
  const PodRequest pod = OneGpu(500, 50);
  EXPECT_GT(Score(pack, half, pod), Score(pack, Node(8), pod))
      << "fills a GPU rather than opening one";
  EXPECT_GT(Score(pack, half, pod), Score(pack, quarter, pod)) << "the exact fit";
  NodeInfo nine_used = Node(8);
  for (int i = 1; i < 8; ++i) Use(nine_used, i, {1000, 100});
  EXPECT_GT(Score(pack, nine_used, pod), Score(pack, Node(8), pod)) << "keeps the empty node whole";
}

TEST(PackScore, SeesBothDimensions) {
  // Memory is as tight on both; only on the first do the cores fit as tightly.
  NodeInfo tight = Node(2);
  Use(tight, 0, {500, 50});
  NodeInfo loose = Node(2);
  Use(loose, 0, {500, 0});
  EXPECT_GT(Score(PlacementPolicy::kPack, tight, OneGpu(500, 50)),
            Score(PlacementPolicy::kPack, loose, OneGpu(500, 50)));
}

TEST(SpreadScore, IsTheFreePartAfterwards) {
  const auto spread = PlacementPolicy::kSpread;
  EXPECT_EQ(Score(spread, Node(1), OneGpu(500, 50)), kMaxFineScore / 2);
  EXPECT_EQ(Score(spread, Node(2), OneGpu(1000, 100)), kMaxFineScore / 2);
  EXPECT_EQ(Score(spread, Node(4), OneGpu(1000, 100)), kMaxFineScore * 3 / 4);
  EXPECT_EQ(Score(spread, Node(1), OneGpu(1000, 100)), 0);
  EXPECT_EQ(Score(spread, Node(1), OneGpu(1000, 0)), kMaxFineScore / 2);
}

TEST(Scores, StayWithinBoundsAndIgnoreTheOrderOfDevices) {
  for (unsigned seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const NodeInfo node = random.ANode(8);
    const PodRequest pod = random.APod(3, 3);
    NodeInfo shuffled = node;
    std::shuffle(shuffled.devices.begin(), shuffled.devices.end(), random.engine());
    for (const auto policy : {PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
      const auto score = Score(policy, node, pod);
      EXPECT_EQ(score, Score(policy, shuffled, pod));
      EXPECT_GE(score, -1);
      EXPECT_LE(score, kMaxFineScore);
    }
  }
}

TEST(Scores, SurviveTheLargestNumbers) {
  std::vector<GpuDevice> gpus;
  for (int i = 0; i < kMaxGpusPerNode; ++i) gpus.push_back(Gpu(i, kMaxMemoryMib));
  for (GpuDevice& gpu : gpus) gpu.cores_percent = 100 * kWholeGpuCores;
  const NodeInfo node = MakeNode("n", gpus);
  for (const auto policy : {PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
    const auto score = Score(policy, node, Pod({App(0, {kMaxGpusPerNode, kMaxMemoryMib, 0, 100})}));
    EXPECT_GE(score, 0);
    EXPECT_LE(score, kMaxFineScore);
  }
}

TEST(ToNodeScore, CoversTheWholeRange) {
  EXPECT_EQ(ToNodeScore(0), 0);
  EXPECT_EQ(ToNodeScore(kMaxFineScore / 2), 50);
  EXPECT_EQ(ToNodeScore(kMaxFineScore), kMaxNodeScore);
}

}  // namespace
}  // namespace tessera::binpack
