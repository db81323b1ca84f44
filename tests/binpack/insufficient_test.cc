#include "binpack/insufficient.h"

#include <gtest/gtest.h>

#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

NodeInfo Busy() {
  NodeInfo node = Node(3);
  Use(node, 0, {800, 10});
  Use(node, 1, {600, 90});
  Use(node, 2, {100, 70});
  return node;
}

TEST(Explain, NamesWhatIsShortWithNumbers) {
  struct Case {
    const char* name;
    PodRequest pod;
    std::vector<Insufficient> want;
  };
  PodRequest model = OneGpu(1, 1);
  model.selector.models_any = {{"H100"}};
  PodRequest uuid = OneGpu(1, 1);
  uuid.selector.uuids_any = {"GPU-9"};
  PodRequest exclusive = OneGpu(1, 1);
  exclusive.isolation = Isolation::kExclusive;
  const Case cases[] = {
      {"more GPUs than there are", Pod({App(0, {4, 1, 0, 1})}), {{Shortage::kGpus, 4, 0, 3, 4, 3}}},
      {"model", model, {{Shortage::kModel, 1, 0, 0, 1, 0}}},
      {"uuid", uuid, {{Shortage::kUuid, 1, 0, 0, 1, 0}}},
      {"exclusive", exclusive, {{Shortage::kUnshared, 1, 0, 0, 1, 0}}},
      {"memory, on the nearest GPU", OneGpu(950, 1), {{Shortage::kMemory, 950, 100, 1000, 1, 0}}},
      {"memory of the second GPU",
       Pod({App(0, {2, 500, 0, 1})}),
       {{Shortage::kMemory, 500, 600, 1000, 2, 1}}},
      {"memory beyond any GPU", OneGpu(5000, 1), {{Shortage::kMemory, 5000, 100, 1000, 1, 0}}},
      {"cores, on the nearest GPU", OneGpu(1, 95), {{Shortage::kCores, 95, 10, 100, 1, 0}}},
      {"both are short",
       OneGpu(950, 95),
       {{Shortage::kMemory, 950, 100, 1000, 1, 0}, {Shortage::kCores, 95, 10, 100, 1, 0}}},
      {"each somewhere, never together", OneGpu(300, 80), {{Shortage::kBothAtOnce, 1, 0, 0, 1, 0}}},
      {"percentages are resolved",
       Pod({App(0, {1, 0, 95, 1})}),
       {{Shortage::kMemory, 950, 100, 1000, 1, 0}}},
      {"the container that is short",
       Pod({App(0, {1, 1, 0, 1}), App(1, {1, 950, 0, 1})}),
       {{Shortage::kMemory, 950, 100, 1000, 1, 0}}},
      {"each container alone, not all",
       Pod({App(0, {1, 600, 0, 1}), App(1, {1, 600, 0, 1})}),
       {{Shortage::kTogether, 2, 0, 3, 2, 3}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    ASSERT_FALSE(FindPlacement(Busy(), c.pod));
    const auto result = Fit(Busy(), c.pod);
    EXPECT_EQ(result.shortages, c.want);
    for (const auto& shortage : result.shortages)
      EXPECT_FALSE(ReasonText(shortage.shortage).empty());
  }
}

TEST(Explain, ModesOfGpus) {
  PodRequest mps = OneGpu(10, 10);
  mps.isolation = Isolation::kMps;
  PodRequest exclusive = mps;
  exclusive.isolation = Isolation::kExclusive;
  const auto why = [](const NodeInfo& node, const PodRequest& pod) {
    const auto result = Fit(node, pod);
    EXPECT_TRUE(result.fits() || result.resolvable == node.devices[0].device.mps);
    return result.shortages;
  };
  using Shortages = std::vector<Insufficient>;
  NodeInfo node = Node(1);
  EXPECT_EQ(why(node, mps), (Shortages{{Shortage::kMps, 1, 0, 0, 1, 0}}));
  node.devices[0].device.mps = true;
  EXPECT_EQ(why(node, mps), Shortages{});
  NodeInfo in_turns = node;
  Use(in_turns, 0, {1, 1});
  EXPECT_EQ(why(in_turns, mps), (Shortages{{Shortage::kMode, 1, 0, 0, 1, 0}}));
  NodeInfo at_once = node;
  Use(at_once, 0, {1, 1, 47}, Isolation::kMps);
  EXPECT_EQ(why(at_once, mps), Shortages{});
  EXPECT_EQ(why(at_once, OneGpu(1, 0)), (Shortages{{Shortage::kMode, 1, 0, 0, 1, 0}}));
  EXPECT_EQ(why(at_once, exclusive), (Shortages{{Shortage::kUnshared, 1, 0, 0, 1, 0}}));
  Use(at_once, 0, {1, 1, 1}, Isolation::kMps);
  EXPECT_EQ(why(at_once, mps), (Shortages{{Shortage::kMpsClients, 1, 48, 48, 1, 0}}));
  NodeInfo alone = node;
  Use(alone, 0, {1, 1}, Isolation::kExclusive);
  EXPECT_EQ(why(alone, mps), (Shortages{{Shortage::kUnshared, 1, 0, 0, 1, 0}}));
}

TEST(Explain, HealthAndEmptyNodes) {
  NodeInfo sick = Node(2);
  sick.devices[1].device.healthy = false;
  EXPECT_EQ(Fit(sick, Pod({App(0, {2, 1, 0, 0})})).shortages,
            (std::vector<Insufficient>{{Shortage::kHealth, 2, 0, 1, 2, 1}}));
  EXPECT_EQ(Fit(Node(0), OneGpu(1, 0)).shortages,
            (std::vector<Insufficient>{{Shortage::kGpus, 1, 0, 0, 1, 0}}));
}

TEST(Explain, NumaSaysHowManyGpusAreTogether) {
  NodeInfo node = Node(3);
  node.devices[2].device.numa_node = 1;
  PodRequest pod = Pod({App(0, {3, 1, 0, 0})});
  pod.topology = Topology::kNuma;
  EXPECT_EQ(Fit(node, pod).shortages,
            (std::vector<Insufficient>{{Shortage::kNuma, 3, 0, 2, 3, 2}}));
}

}  // namespace
}  // namespace tessera::binpack
