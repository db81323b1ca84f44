#include "binpack/place/score_model.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "binpack/fit.h"
#include "binpack/place/policy.h"
#include "binpack/score.h"

namespace tessera::binpack {
namespace {

NodeInfo Node(const std::string& name, int gpus, const std::string& model = "A",
              std::int64_t memory = 10000) {
  std::vector<GpuDevice> devices;
  for (int i = 0; i < gpus; ++i) {
    devices.push_back(
        {.uuid = name + "-" + std::to_string(i), .index = i, .model = model, .memory_mib = memory});
  }
  return MakeNode(name, devices);
}
Reservation On(const std::string& uuid, std::int64_t memory, std::int64_t cores) {
  return {.devices = {{uuid, {memory, cores}}}};
}
PodRequest Request(GpuRequest gpu) { return {.containers = {{.name = "c", .gpu = gpu}}}; }

TEST(RoomOf, RoundsDownAndLeavesOutWhatNobodyCanTake) {
  NodeInfo node = Node("n", 4, "B");
  Reserve(node, On("n-0", 3333, 25));
  Reserve(node, {.devices = {{"n-1", {1, 1}}}, .isolation = Isolation::kExclusive});
  node.devices[2].device.healthy = false;
  const NodeRoom room = RoomOf(node, {"A", "B"});
  EXPECT_EQ(room.gpus, 4);
  EXPECT_EQ(room.model, 1);
  EXPECT_EQ(room.rest[0], (Share{666, 750}));
  EXPECT_EQ(room.rest[1], (Share{}));
  EXPECT_EQ(room.rest[2], (Share{}));
  EXPECT_EQ(room.rest[3], kWholeGpu);
  EXPECT_EQ(RoomOf(Node("big", 40), {"A"}).gpus, kMaxRoomGpus);
}

TEST(RoomAfter, IsTheRoomOfTheNodeAfterwards) {
  const NodeInfo node = Node("n", 3);
  for (const Isolation isolation : {Isolation::kShared, Isolation::kExclusive}) {
    const Reservation reservation{.devices = {{"n-1", {2500, 40}}, {"n-2", {10000, 100}}},
                                  .isolation = isolation};
    NodeInfo placed = node;
    Reserve(placed, reservation);
    EXPECT_EQ(RoomAfter(node, {"A"}, reservation), RoomOf(placed, {"A"}));
  }
}

TEST(ShapeOf, IsTheLargestShareOfAllGpus) {
  const ModelNames models{"A", "B"};
  const struct {
    const char* name;
    PodRequest request;
    PodShape want;
  } cases[] = {
      {"MiB round up",
       Request({.count = 1, .memory_mib = 3333, .cores_percent = 25}),
       {.gpus = 1, .share = {334, 250}}},
      {"percent", Request({.count = 2, .memory_percent = 50}), {.gpus = 2, .share = {500, 0}}},
      {"more than there is",
       Request({.count = 1, .memory_mib = 99999}),
       {.gpus = 1, .share = {1000, 0}}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(ShapeOf(c.request, models, 10000), c.want);
  }
  PodRequest picky = Request({.count = 1, .memory_percent = 10});
  picky.selector.models_any = {{.text = "B"}};
  EXPECT_EQ(ShapeOf(picky, models, 10000).models, ModelSet{2});
  PodRequest alone = Request({.count = 1, .memory_percent = 10});
  alone.isolation = Isolation::kExclusive;
  EXPECT_EQ(ShapeOf(alone, models, 10000).share, kWholeGpu);
}

TEST(ScoreModel, PrefersWhatWastesLess) {
  // Halves and whole GPUs are asked for: the second half of a GPU is the place for a half.
  const Demand demand = MakeDemand(std::vector<TypicalPod>{{{.gpus = 1, .share = {500, 500}}, 1},
                                                           {{.gpus = 1, .share = kWholeGpu}, 2}});
  NodeInfo used = Node("used", 2);
  Reserve(used, On("used-0", 5000, 50));
  const NodeInfo fresh = Node("fresh", 2);
  const NodeInfo* nodes[] = {&used, &fresh};
  const ScoreModel model(demand, nodes, {"A"});
  const auto fills = model.Score(used, On("used-0", 5000, 50));
  const auto breaks = model.Score(fresh, On("fresh-0", 5000, 50));
  EXPECT_GT(fills, breaks);
  EXPECT_GE(breaks, 0);
  EXPECT_LE(fills, kMaxFineScore);
}

TEST(ScoreModel, SparesWholeNodesThatAreAskedFor) {
  const Demand demand = MakeDemand(std::vector<TypicalPod>{{{.gpus = 8, .share = kWholeGpu}, 1},
                                                           {{.gpus = 1, .share = kWholeGpu}, 8}});
  NodeInfo used = Node("used", 8);
  Reserve(used, On("used-7", 10000, 100));
  const NodeInfo whole = Node("whole", 8);
  const NodeInfo* nodes[] = {&used, &whole};
  const ScoreModel model(demand, nodes, {"A"});
  EXPECT_GT(model.Score(used, On("used-0", 10000, 100)),
            model.Score(whole, On("whole-0", 10000, 100)));
}

TEST(RoomOf, KnowsTheFreeCpuOfANodeThatToldIt) {
  NodeInfo node = Node("n", 1);
  node.cpu_used_milli = 3000;
  EXPECT_EQ(RoomOf(node, {"A"}).cpu_milli, kUnknownCpu);
  EXPECT_EQ(RoomAfter(node, {"A"}, {.cpu_milli = 500}).cpu_milli, kUnknownCpu);
  node.cpu_milli = 8000;
  EXPECT_EQ(RoomOf(node, {"A"}).cpu_milli, 5000);
  EXPECT_EQ(RoomAfter(node, {"A"}, {.cpu_milli = 500}).cpu_milli, 4500);
  node.cpu_used_milli = 9000;
  EXPECT_EQ(RoomOf(node, {"A"}).cpu_milli, 0) << "over-committed";
  node.cpu_used_milli = 0;
  node.cpu_milli = std::int64_t{1} << 60;
  EXPECT_EQ(RoomOf(node, {"A"}).cpu_milli, kMaxCpuMilli);
}

TEST(ShapeOf, KeepsTwoDigitsOfTheCpu) {
  PodRequest request = Request({.count = 1, .memory_percent = 10});
  for (const auto& [cpu, want] : {std::pair<std::int64_t, std::int32_t>{0, 0},
                                  {-5, 0},
                                  {7, 7},
                                  {99, 99},
                                  {100, 100},
                                  {101, 110},
                                  {999, 1000},
                                  {4000, 4000},
                                  {12345, 13000},
                                  {std::int64_t{1} << 62, 10'000'000}}) {
    SCOPED_TRACE(cpu);
    request.cpu_milli = cpu;
    EXPECT_EQ(ShapeOf(request, {"A"}, 10000).cpu_milli, want);
  }
}

/// A node with two GPUs, and 16 cores of which so many are used.
NodeInfo WithCpu(const std::string& name, std::int64_t used_milli) {
  NodeInfo node = Node(name, 2);
  node.cpu_milli = 16000;
  node.cpu_used_milli = used_milli;
  return node;
}

/// Whole GPUs with 8 cores each.
const Demand kEightCoresAGpu =
    MakeDemand(std::vector<TypicalPod>{{{.cpu_milli = 8000, .gpus = 1, .share = kWholeGpu}, 1}});

TEST(ScoreModel, APodGoesWhereItsCpuStrandsNoGpu) {
  const NodeInfo tight = WithCpu("tight", 4000);
  const NodeInfo roomy = WithCpu("roomy", 0);
  const NodeInfo* nodes[] = {&tight, &roomy};
  const ScoreModel model(kEightCoresAGpu, nodes, {"A"});
  const auto score = [&](const NodeInfo& node, std::int64_t cpu_milli) {
    Reservation reservation = On(node.name + "-0", 10000, 100);
    reservation.cpu_milli = cpu_milli;
    return model.Score(node, reservation);
  };
  EXPECT_GT(score(tight, 1000), score(roomy, 1000))
      << "12 cores do not suffice for both of its GPUs: the one that would be lost is used";
  EXPECT_GT(score(roomy, 8000), score(tight, 8000)) << "on the other 4 cores stay for one GPU";
}

TEST(ScoreModel, NodesOfUnknownCpuAreJudgedByTheirGpus) {
  // A node that does not tell its CPU beside one that does: its score is that of a model which
  // knows no CPU at all, since nothing is known to be stranded or idle there.
  const NodeInfo silent = Node("silent", 2);
  const NodeInfo telling = WithCpu("telling", 0);
  const NodeInfo* both[] = {&silent, &telling};
  const NodeInfo* one[] = {&silent};
  Demand no_cpu = kEightCoresAGpu;
  no_cpu.pods[0].shape.cpu_milli = 0;
  // Slots depend on the number of nodes; the price of idle GPUs on how scarce CPU is in the
  // cluster.
  const ValueWeights weights{.cpu = 0, .slots = 0};
  const ScoreModel mixed(kEightCoresAGpu, both, {"A"}, weights);
  const ScoreModel blind(no_cpu, one, {"A"}, weights);
  Reservation reservation = On("silent-0", 5000, 50);
  reservation.cpu_milli = 8000;
  EXPECT_EQ(mixed.Score(silent, reservation), blind.Score(silent, reservation));

  const ScoreModel priced(kEightCoresAGpu, both, {"A"});
  const auto score = priced.Score(silent, reservation);
  reservation.cpu_milli = 0;
  EXPECT_EQ(priced.Score(silent, reservation), score) << "what CPU the pod asks for is no matter";
}

TEST(FleetOf, GivesNodesOfUnknownCpuTheMeanOfTheOthers) {
  const NodeRoom known{.cpu_milli = 64000, .gpus = 4};
  const NodeRoom silent{.cpu_milli = kUnknownCpu, .gpus = 8};
  EXPECT_DOUBLE_EQ(FleetOf(std::vector{known, silent}).cpu_milli, 192000);
  EXPECT_DOUBLE_EQ(FleetOf(std::vector{known}).cpu_milli, 64000);
  EXPECT_DOUBLE_EQ(FleetOf(std::vector{silent}).cpu_milli, 0);
}

TEST(ScoreModel, ADemandWithoutCpuLeavesCpuOut) {
  Demand no_cpu = kEightCoresAGpu;
  no_cpu.pods[0].shape.cpu_milli = 0;
  const NodeInfo none = WithCpu("n", 16000);
  const NodeInfo all = WithCpu("n", 0);
  const NodeInfo* nodes[] = {&none, &all};
  const ScoreModel model(no_cpu, nodes, {"A"});
  EXPECT_EQ(model.Score(none, On("n-0", 5000, 50)), model.Score(all, On("n-0", 5000, 50)));
}

/// Halves are asked for, so a half that is left is worth a half, and less is worth nothing.
Demand Halves() {
  return MakeDemand(std::vector<TypicalPod>{{{.gpus = 1, .share = {500, 500}}, 1}});
}
PodRequest AFifth() { return Request({.count = 1, .memory_percent = 20, .cores_percent = 20}); }
/// Half of the first GPU is left, nine tenths of the second.
NodeInfo HalfAndNineTenths(int gpus) {
  NodeInfo node = Node("n", gpus);
  Reserve(node, On("n-0", 5000, 50));
  Reserve(node, On("n-1", 1000, 10));
  return node;
}

TEST(ScoreModel, PrefersTheGpuThatLosesLeastToTheTightest) {
  const NodeInfo node = HalfAndNineTenths(3);
  const NodeInfo* nodes[] = {&node};
  const ScoreModel model(Halves(), nodes, {"A"});
  PodRequest pod = AFifth();
  const auto uuid = [&](const GpuPreference* preference) {
    return FindPlacement(node, pod, preference)->containers[0].devices[0].uuid;
  };
  EXPECT_EQ(uuid(nullptr), "n-0") << "the tightest";
  EXPECT_EQ(uuid(&model), "n-1");
  pod.gpu_policy = PlacementPolicy::kSpread;
  EXPECT_EQ(uuid(&model), "n-2") << "the emptiest";
}

TEST(ScoreModel, APreferredGpuIsGivenUpForALaterContainer) {
  const NodeInfo node = HalfAndNineTenths(2);
  const NodeInfo* nodes[] = {&node};
  const ScoreModel model(Halves(), nodes, {"A"});
  PodRequest pod = AFifth();
  pod.containers.push_back(
      {.name = "d", .index = 1, .gpu = {.count = 1, .memory_percent = 90, .cores_percent = 90}});
  const auto placement = FindPlacement(node, pod, &model);
  ASSERT_TRUE(placement);
  EXPECT_EQ(placement->containers[0].devices[0].uuid, "n-0");
  EXPECT_EQ(placement->containers[1].devices[0].uuid, "n-1");
}

class RandomCluster {
 public:
  explicit RandomCluster(unsigned seed) : random_(seed) {}

  std::int64_t Below(std::int64_t end) {
    return std::uniform_int_distribution<std::int64_t>(0, end - 1)(random_);
  }
  Demand ADemand() {
    std::vector<TypicalPod> pods;
    for (int i = 0; i < 6; ++i) {
      const auto memory = static_cast<std::int16_t>(50 * (1 + Below(20)));
      const auto cores = static_cast<std::int16_t>(50 * (1 + Below(20)));
      pods.push_back({{.cpu_milli = static_cast<std::int32_t>(1000 * Below(8)),
                       .gpus = 1,
                       .share = {memory, Below(2) == 0 ? memory : cores}},
                      static_cast<double>(1 + Below(5))});
    }
    pods.push_back({{.gpus = 4, .share = kWholeGpu}, 1});
    return MakeDemand(pods);
  }
  /// Partly used GPUs, in any order, some of them alike.
  NodeInfo ANode() {
    NodeInfo node = Node("n", 1 + static_cast<int>(Below(8)));
    node.cpu_milli = 1000 * Below(64);
    for (DeviceInfo& info : node.devices) {
      info.used = {500 * Below(21), 5 * Below(21)};
      info.tenants = info.used == Amount{} ? 0 : 1;
    }
    Shuffle(node);
    return node;
  }
  void Shuffle(NodeInfo& node) { std::shuffle(node.devices.begin(), node.devices.end(), random_); }
  PodRequest APod() {
    PodRequest pod = Request({.count = 1,
                              .memory_percent = static_cast<int>(5 * (1 + Below(20))),
                              .cores_percent = 5 * Below(21)});
    pod.cpu_milli = 1000 * Below(8);
    return pod;
  }

 private:
  std::mt19937_64 random_;
};

TEST(ScoreModel, LosesOnOneGpuWhatTheSimulatorWouldLose) {
  int fitting = 0;
  for (unsigned seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    RandomCluster random(seed);
    const Demand demand = random.ADemand();
    const NodeInfo node = random.ANode();
    const PodRequest pod = random.APod();
    const NodeInfo* nodes[] = {&node};
    const ModelNames models{"A"};
    const ScoreModel model(demand, nodes, models);
    const auto placement = FindPlacement(node, pod, &model);
    if (!placement || pod.cpu_milli > *node.cpu_milli) continue;
    ++fitting;
    NodeRoom empty = RoomOf(Node("n", static_cast<int>(node.devices.size())), models);
    empty.cpu_milli = static_cast<std::int32_t>(*node.cpu_milli);
    const NodeValue value(demand, FleetOf(std::span(&empty, 1)), {});
    const NodeRoom room = RoomOf(node, models);
    SlotCounts slots{};
    CountSlots(room, 1, slots);
    const auto lost = [&](const NodeRoom& r) { return value.Lost(r, value.PricesFor(slots)); };
    GpuChoice choice;
    const double least = LeastLost(Sorted(room), ShapeOf(pod, models, 10000), choice, lost);
    EXPECT_NEAR(lost(RoomAfter(node, models, ReservationOf(*placement, pod))), least, 2e-9);
  }
  EXPECT_GT(fitting, 500);
}

TEST(ScoreModel, ThePreferredGpuDoesNotDependOnTheOrderOfGpus) {
  for (unsigned seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    RandomCluster random(seed);
    NodeInfo node = random.ANode();
    PodRequest pod = random.APod();
    pod.containers.push_back(random.APod().containers[0]);
    pod.containers.back().index = 1;
    const NodeInfo* nodes[] = {&node};
    const ScoreModel model(random.ADemand(), nodes, {"A"});
    const auto placement = FindPlacement(node, pod, &model);
    random.Shuffle(node);
    EXPECT_EQ(FindPlacement(node, pod, &model), placement);
  }
}

TEST(ScoreModel, CopesWithWhatItDoesNotKnow) {
  const NodeInfo node = Node("n", 1, "new");
  EXPECT_EQ(ScoreModel({}, {}, {}).Score(node, On("n-0", 1, 1)), kMaxFineScore / 2);
  const NodeInfo none = MakeNode("none", {});
  const NodeInfo* nodes[] = {&none, &node};
  ModelNames models;
  AddModels(nodes, models);
  AddModels(nodes, models);
  EXPECT_EQ(models, ModelNames{"new"});
  const ScoreModel model(Demand{}, nodes, models);
  EXPECT_EQ(model.Score(none, {}), kMaxFineScore / 2);
  EXPECT_GE(model.Score(node, On("n-0", 1, 1)), 0);
}

}  // namespace
}  // namespace tessera::binpack
