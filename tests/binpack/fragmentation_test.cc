#include "binpack/fragmentation.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

Workload Of(std::vector<TypicalRequest> requests) { return {std::move(requests)}; }

double RatioOfNode(const NodeInfo& node, const Workload& workload) {
  return RatioOf(Measure(RestsOf(node), workload)).value();
}

TEST(Fragmentation, CountsIdleAmountsThatTheTypicalRequestCannotUse) {
  NodeInfo node = Node(2);
  Use(node, 0, {600, 50});  // left: 400 MiB, 50 %
  const auto half = Of({{{1, 500, 0, 50}, 1}});
  const auto got = Measure(RestsOf(node), half);
  EXPECT_EQ(got.lost_memory, 400);
  EXPECT_EQ(got.lost_cores, 50);
  EXPECT_EQ(got.capacity_memory, 2000);
  EXPECT_EQ(got.capacity_cores, 200);
  EXPECT_DOUBLE_EQ(RatioOf(got).value(), (400.0 / 2000 + 50.0 / 200) / 2);
}

TEST(Fragmentation, AGpuCountsOnlyIfBothDimensionsFit) {
  NodeInfo node = Node(1);
  Use(node, 0, {0, 60});  // all memory, 40 % cores
  EXPECT_DOUBLE_EQ(RatioOfNode(node, Of({{{1, 100, 0, 40}, 1}})), 0.0);
  EXPECT_DOUBLE_EQ(RatioOfNode(node, Of({{{1, 100, 0, 41}, 1}})), (1.0 + 0.4) / 2);
  EXPECT_DOUBLE_EQ(RatioOfNode(node, Of({{{1, 100, 0, 0}, 1}})), 0.0);
}

TEST(Fragmentation, TooFewGpusForARequestLoseAllThatIsIdle) {
  NodeInfo node = Node(2);
  Use(node, 0, {500, 50});
  EXPECT_DOUBLE_EQ(RatioOfNode(node, Of({{{2, 1000, 0, 100}, 1}})), 0.75);
  EXPECT_DOUBLE_EQ(RatioOfNode(node, Of({{{2, 100, 0, 10}, 1}})), 0.0);
}

TEST(Fragmentation, RequestsAreWeightedByFrequency) {
  NodeInfo node = Node(1);
  Use(node, 0, {500, 50});
  const TypicalRequest small{{1, 100, 0, 10}, 3};
  const TypicalRequest large{{1, 900, 0, 90}, 1};
  EXPECT_DOUBLE_EQ(RatioOfNode(node, Of({small, large})), 0.5 / 4);
}

TEST(Fragmentation, EmptyFullSickAndMissingGpus) {
  const Workload& workload = DefaultWorkload();
  EXPECT_DOUBLE_EQ(RatioOfNode(Node(8), workload), 0.0)
      << "an empty node of eight serves every typical request";
  EXPECT_GT(RatioOfNode(Node(1), workload), 0.0) << "no room for several GPUs";
  NodeInfo full = Node(2);
  Use(full, 0, {1000, 100});
  Use(full, 1, {10, 0}, Isolation::kExclusive);
  EXPECT_DOUBLE_EQ(RatioOfNode(full, workload), 0.0) << "nothing is idle";
  NodeInfo sick = Node(1);
  sick.devices[0].device.healthy = false;
  EXPECT_DOUBLE_EQ(RatioOfNode(sick, workload), 0.0);
  EXPECT_DOUBLE_EQ(RatioOfNode(Node(0), workload), 0.0);
  EXPECT_DOUBLE_EQ(RatioOfNode(Node(4), Workload{}), 0.0);
  NodeInfo over = Node(1);
  Use(over, 0, {5000, 300});
  EXPECT_DOUBLE_EQ(RatioOfNode(over, workload), 0.0) << "over-commitment is not negative idleness";
}

TEST(Fragmentation, RatioStaysBetweenZeroAndOneAndIgnoresTheOrderOfDevices) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const NodeInfo node = random.ANode(8);
    NodeInfo shuffled = node;
    std::shuffle(shuffled.devices.begin(), shuffled.devices.end(), random.engine());
    const Ratio a = RatioOf(Measure(RestsOf(node), DefaultWorkload()));
    const Ratio b = RatioOf(Measure(RestsOf(shuffled), DefaultWorkload()));
    EXPECT_LE(a.numerator, a.denominator);
    EXPECT_TRUE(a.numerator == b.numerator && a.denominator == b.denominator);
  }
}

TEST(Fragmentation, RestsAfterIsReserveWithoutTheNode) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeInfo node = random.ANode(8);
    const PodRequest pod = random.APod(3, 3);
    const auto placement = FindPlacement(node, pod);
    if (!placement) continue;
    const auto reservation = ReservationOf(*placement, pod.isolation);
    const auto rests = RestsAfter(node, reservation);
    Reserve(node, reservation);
    const auto want = RestsOf(node);
    ASSERT_EQ(rests.size(), want.size());
    for (std::size_t i = 0; i < rests.size(); ++i) {
      EXPECT_EQ(rests[i].free, want[i].free);
      EXPECT_EQ(rests[i].capacity, want[i].capacity);
    }
  }
}

TEST(Fragmentation, TheLargestClusterDoesNotOverflow) {
  std::vector<GpuDevice> gpus;
  for (int i = 0; i < kMaxGpusPerNode; ++i) gpus.push_back(Gpu(i, kMaxMemoryMib));
  for (GpuDevice& gpu : gpus) gpu.cores_percent = 100 * kWholeGpuCores;
  const NodeInfo node = MakeNode("n", gpus);
  Workload workload;
  for (int i = 0; i < 1000; ++i)
    workload.requests.push_back({{kMaxGpusPerNode + 1, 1, 0, 1}, 1000});
  const auto one = Measure(RestsOf(node), workload);
  EXPECT_DOUBLE_EQ(RatioOf(one).value(), 1.0);
  FragmentationSum sum;
  for (int i = 0; i < 60000; ++i) sum.Add(one);
  EXPECT_DOUBLE_EQ(sum.ratio().value(), 1.0);
}

}  // namespace
}  // namespace tessera::binpack
