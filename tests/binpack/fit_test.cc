#include "binpack/fit.h"

#include <gtest/gtest.h>

#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

TEST(Fit, GivesExactlyWhatWasAskedFor) {
  const auto result = Fit(Node(2), Pod({App(3, {2, 0, 25, 40})}));
  ASSERT_TRUE(result.fits());
  EXPECT_TRUE(result.shortages.empty());
  EXPECT_EQ(*result.placement,
            (Placement{{{ContainerKind::kApp, 3, {{"GPU-0", 250, 40}, {"GPU-1", 250, 40}}}}}));
}

TEST(Fit, PercentagesRoundDownToWholeMibButNotToNothing) {
  const NodeInfo odd = MakeNode("n", {Gpu(0, 333)});
  EXPECT_EQ(Fit(odd, Pod({App(0, {1, 0, 50, 0})})).placement->containers[0].devices[0].memory_mib,
            166);
  const NodeInfo tiny = MakeNode("n", {Gpu(0, 10)});
  EXPECT_EQ(Fit(tiny, Pod({App(0, {1, 0, 1, 0})})).placement->containers[0].devices[0].memory_mib,
            1);
}

TEST(Fit, PackLeavesLeastAndSpreadMostInBothDimensions) {
  NodeInfo node = Node(3);
  Use(node, 0, {500, 50});
  Use(node, 1, {600, 20});
  struct Case {
    std::int64_t memory;
    std::int64_t cores;
    const char* pack;
    const char* spread;
  };
  const Case cases[] = {
      {100, 10, "GPU-0", "GPU-2"}, {500, 50, "GPU-0", "GPU-2"}, {400, 60, "GPU-1", "GPU-2"},
      {501, 10, "GPU-2", "GPU-2"}, {10, 81, "GPU-2", "GPU-2"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.memory);
    PodRequest pod = OneGpu(c.memory, c.cores);
    EXPECT_EQ(Uuids(Fit(node, pod)), c.pack);
    pod.gpu_policy = PlacementPolicy::kSpread;
    EXPECT_EQ(Uuids(Fit(node, pod)), c.spread);
  }
}

TEST(Fit, LeftoverCountsInSharesOfTheGpuNotInMib) {
  NodeInfo node = MakeNode("n", {Gpu(0, 100000), Gpu(1, 1000)});
  Use(node, 0, {95000, 0});  // 5000 MiB left are 5 %
  Use(node, 1, {200, 0});    // 800 MiB left are 80 %
  EXPECT_EQ(Uuids(Fit(node, OneGpu(100, 10))), "GPU-0");
}

TEST(Fit, SeveralGpusAreDistinctAndInOrderOfIndex) {
  NodeInfo node = Node(4);
  Use(node, 3, {500, 0});
  Use(node, 1, {500, 0});
  EXPECT_EQ(Uuids(Fit(node, Pod({App(0, {2, 100, 0, 0})}))), "GPU-1,GPU-3");
  EXPECT_EQ(Uuids(Fit(node, Pod({App(0, {4, 500, 0, 0})}))), "GPU-0,GPU-1,GPU-2,GPU-3");
  EXPECT_FALSE(Fit(node, Pod({App(0, {3, 600, 0, 0})})).fits());
  EXPECT_FALSE(Fit(node, Pod({App(0, {5, 1, 0, 0})})).fits());
}

TEST(Fit, UnhealthyGpusAreNotUsed) {
  NodeInfo node = Node(2);
  node.devices[0].device.healthy = false;
  EXPECT_EQ(Uuids(Fit(node, OneGpu(1, 1))), "GPU-1");
}

TEST(Fit, ExclusivePodsShareWithNobody) {
  NodeInfo node = Node(2);
  Use(node, 0, {1, 0});
  PodRequest alone = OneGpu(10, 10);
  alone.isolation = Isolation::kExclusive;
  const auto result = Fit(node, alone);
  ASSERT_EQ(Uuids(result), "GPU-1");
  Reserve(node, ReservationOf(*result.placement, alone.isolation));
  EXPECT_EQ(Uuids(Fit(node, OneGpu(10, 10))), "GPU-0") << "not beside the exclusive pod";
  EXPECT_FALSE(Fit(node, alone).fits());
}

TEST(Fit, ContainersOfOneExclusivePodMayShare) {
  PodRequest alone = Pod({App(0, {1, 10, 0, 10}), App(1, {1, 10, 0, 10})});
  alone.isolation = Isolation::kExclusive;
  EXPECT_TRUE(Fit(Node(1), alone).fits());
}

TEST(Fit, NumaKeepsEachContainersGpusTogether) {
  NodeInfo node = Node(4);
  for (int i = 0; i < 4; ++i) node.devices[static_cast<std::size_t>(i)].device.numa_node = i % 2;
  Use(node, 0, {500, 0});
  Use(node, 1, {400, 0});
  PodRequest pod = Pod({App(0, {2, 100, 0, 0})});
  EXPECT_EQ(Uuids(Fit(node, pod)), "GPU-0,GPU-1") << "best fit without the constraint";
  pod.topology = Topology::kNuma;
  EXPECT_EQ(Uuids(Fit(node, pod)), "GPU-0,GPU-2");
  pod.containers[0].gpu.count = 3;
  const auto result = Fit(node, pod);
  EXPECT_FALSE(result.fits());
  EXPECT_FALSE(result.resolvable);
}

TEST(Fit, InitContainersGoWhereThePodHoldsMost) {
  NodeInfo node = Node(2);
  Use(node, 1, {700, 0});  // the tighter GPU
  const auto result = Fit(node, Pod({Init(0, {1, 290, 0, 0}), App(0, {1, 400, 0, 0})}));
  EXPECT_EQ(Uuids(result, 1), "GPU-0") << "the app fits here only";
  EXPECT_EQ(Uuids(result, 0), "GPU-0") << "the init container costs nothing there";
}

TEST(Fit, ChoosesAgainWhereGreedChokes) {
  // The first container would take the tight GPU 0, the only one with room for the second.
  NodeInfo node = Node(2);
  Use(node, 0, {100, 0});
  Use(node, 1, {0, 60});
  const auto pod = Pod({App(0, {1, 300, 0, 10}), App(1, {1, 700, 0, 80})});
  const auto result = Fit(node, pod);
  ASSERT_TRUE(result.fits());
  EXPECT_EQ(Uuids(result, 0), "GPU-1");
  EXPECT_EQ(Uuids(result, 1), "GPU-0");
}

TEST(Fit, OverCommittedGpusTakeNothingMore) {
  NodeInfo node = Node(1);
  Use(node, 0, {1500, 0});
  const auto result = Fit(node, OneGpu(1, 0));
  EXPECT_FALSE(result.fits());
  EXPECT_TRUE(result.resolvable);
}

TEST(Fit, ResolvableMeansAnEmptyNodeWouldDo) {
  NodeInfo node = Node(2);
  Use(node, 0, {900, 0});
  Use(node, 1, {900, 0}, Isolation::kExclusive);
  EXPECT_TRUE(Fit(node, OneGpu(500, 0)).resolvable);
  EXPECT_FALSE(Fit(node, OneGpu(1001, 0)).resolvable);
  EXPECT_TRUE(Fit(node, Pod({App(0, {2, 500, 0, 0})})).resolvable);
  EXPECT_FALSE(Fit(node, Pod({App(0, {3, 500, 0, 0})})).resolvable);
  EXPECT_FALSE(Fit(Node(0), OneGpu(1, 0)).resolvable);
}

TEST(Fit, AStepBoundEndsAHopelessSearch) {
  NodeInfo node = Node(8);
  for (int i = 0; i < 8; ++i) Use(node, i, {i, i});  // all different: no symmetry to prune by
  PodRequest pod;
  for (int i = 0; i < 40; ++i) pod.containers.push_back(App(i, {1, 150, 0, 30}));
  EXPECT_FALSE(Fit(node, pod).fits()) << "24 such containers fit, and the search returns";
}

}  // namespace
}  // namespace tessera::binpack
