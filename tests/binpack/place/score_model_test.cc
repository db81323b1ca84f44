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
