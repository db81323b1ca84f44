#include "binpack/place/room.h"

#include <gtest/gtest.h>

namespace tessera::binpack {
namespace {

NodeRoom Node(std::initializer_list<Share> rest, int model = 0) {
  NodeRoom room{.cpu_milli = 8000, .memory_mib = 1024, .model = static_cast<std::int16_t>(model)};
  for (const Share& share : rest) room.rest[static_cast<std::size_t>(room.gpus++)] = share;
  return room;
}

TEST(HasRoom, LooksAtEveryResource) {
  const NodeRoom room = Node({{500, 300}, {300, 500}, kWholeGpu}, 3);
  const struct {
    const char* name;
    PodShape pod;
    bool want;
  } cases[] = {
      {"nothing", {}, true},
      {"all of the CPU", {.cpu_milli = 8000}, true},
      {"more CPU", {.cpu_milli = 8001}, false},
      {"more host memory", {.memory_mib = 1025}, false},
      {"a slice", {.gpus = 1, .share = {300, 300}}, true},
      {"three slices", {.gpus = 3, .share = {300, 300}}, true},
      {"three slices of which one GPU lacks memory", {.gpus = 3, .share = {301, 300}}, false},
      {"three slices of which one GPU lacks cores", {.gpus = 3, .share = {300, 301}}, false},
      {"each dimension fits on some GPU, both on the whole one only",
       {.gpus = 2, .share = {400, 400}},
       false},
      {"four GPUs", {.gpus = 4, .share = {1, 1}}, false},
      {"its model", {.gpus = 1, .share = {1, 1}, .models = ModelSet{1} << 3}, true},
      {"other models", {.gpus = 1, .share = {1, 1}, .models = ~(ModelSet{1} << 3)}, false},
      {"no GPU, so any model", {.cpu_milli = 1, .models = 0}, true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(HasRoom(room, c.pod), c.want);
  }
}

TEST(Room, GivingBackUndoesTaking) {
  const NodeRoom before = Node({{500, 300}, kWholeGpu, {700, 700}});
  const PodShape pod{.cpu_milli = 100, .memory_mib = 10, .gpus = 2, .share = {400, 200}};
  NodeRoom room = before;
  const GpuChoice choice = TightestGpus(room, pod);
  Take(room, pod, choice);
  EXPECT_EQ(room.cpu_milli, 7900);
  EXPECT_EQ(room.rest[0], (Share{100, 100}));
  EXPECT_EQ(room.rest[2], (Share{300, 500}));
  Give(room, pod, choice);
  EXPECT_EQ(room, before);
}

TEST(Room, TheTightestGpuIsOfThoseThatFit) {
  const NodeRoom room = Node({{100, 900}, {600, 600}, {500, 500}, kWholeGpu});
  const PodShape pod{.gpus = 1, .share = {200, 200}};
  EXPECT_EQ(TightestGpus(room, pod)[0], 2);
  const PodShape two{.gpus = 2, .share = {200, 200}};
  EXPECT_EQ(TightestGpus(room, two)[0], 2);
  EXPECT_EQ(TightestGpus(room, two)[1], 1);
}

TEST(Room, NodesThatDifferInTheOrderOfGpusAreEqualWhenSorted) {
  const NodeRoom a = Sorted(Node({{100, 900}, kWholeGpu, {900, 100}}));
  const NodeRoom b = Sorted(Node({kWholeGpu, {900, 100}, {100, 900}}));
  EXPECT_EQ(a, b);
  EXPECT_EQ(HashOf(a), HashOf(b));
  EXPECT_EQ(WholeGpus(a), 1);
  EXPECT_DOUBLE_EQ(GpusLeft(a), 2.0);
}

}  // namespace
}  // namespace tessera::binpack
