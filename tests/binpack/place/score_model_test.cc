#include "binpack/place/score_model.h"

#include <gtest/gtest.h>

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
  Reserve(node, {.devices = {{"n-1", {1, 1}}}, .exclusive = true});
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
  for (const bool exclusive : {false, true}) {
    const Reservation reservation{.devices = {{"n-1", {2500, 40}}, {"n-2", {10000, 100}}},
                                  .exclusive = exclusive};
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
  const ValueWeights weights{.slots = 0};  // slots depend on the number of nodes
  const ScoreModel mixed(kEightCoresAGpu, both, {"A"}, weights);
  const ScoreModel blind(no_cpu, one, {"A"}, weights);
  Reservation reservation = On("silent-0", 5000, 50);
  reservation.cpu_milli = 8000;
  EXPECT_EQ(mixed.Score(silent, reservation), blind.Score(silent, reservation));
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
