#include "binpack/reservation.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

ContainerPlacement On(ContainerKind kind, int index, std::vector<DeviceShare> devices) {
  return {kind, index, std::move(devices)};
}

TEST(Reservation, FollowsKubernetesRuleForEachGpuAndDimension) {
  const auto app = ContainerKind::kApp;
  const auto init = ContainerKind::kInit;
  const auto sidecar = ContainerKind::kSidecar;
  struct Case {
    const char* name;
    std::vector<ContainerPlacement> containers;
    Amount want;
  };
  const Case cases[] = {
      {"apps add up", {On(app, 0, {{"G", 100, 10}}), On(app, 1, {{"G", 50, 20}})}, {150, 30}},
      {"a smaller init is covered",
       {On(init, 0, {{"G", 90, 5}}), On(app, 0, {{"G", 100, 10}})},
       {100, 10}},
      {"a larger init is the peak",
       {On(init, 0, {{"G", 300, 5}}), On(app, 0, {{"G", 100, 10}})},
       {300, 10}},
      {"inits run one by one",
       {On(init, 0, {{"G", 100, 5}}), On(init, 1, {{"G", 200, 1}})},
       {200, 5}},
      {"sidecars add to apps",
       {On(sidecar, 0, {{"G", 30, 3}}), On(app, 0, {{"G", 100, 10}})},
       {130, 13}},
      {"sidecars started before add to an init",
       {On(sidecar, 0, {{"G", 30, 3}}), On(init, 1, {{"G", 100, 10}})},
       {130, 13}},
      {"sidecars started later do not",
       {On(init, 0, {{"G", 100, 10}}), On(sidecar, 1, {{"G", 30, 3}})},
       {100, 10}},
      {"order is by index, not by place",
       {On(sidecar, 1, {{"G", 30, 3}}), On(init, 0, {{"G", 100, 10}}), On(app, 0, {{"G", 60, 0}})},
       {100, 10}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto got = ReservationOf({c.containers}, Isolation::kShared);
    ASSERT_EQ(got.devices.size(), 1u);
    EXPECT_EQ(got.devices[0].amount, c.want);
    EXPECT_EQ(got.isolation, Isolation::kShared);
  }
}

TEST(Reservation, EachGpuIsOnItsOwn) {
  const auto got = ReservationOf({{On(ContainerKind::kInit, 0, {{"A", 5, 5}}),
                                   On(ContainerKind::kApp, 0, {{"A", 1, 1}, {"B", 2, 2}}),
                                   On(ContainerKind::kApp, 1, {{"B", 3, 3}})}},
                                 Isolation::kExclusive);
  EXPECT_EQ(got, (Reservation{{{"A", {5, 5}}, {"B", {5, 5}}}, Isolation::kExclusive}));
}

TEST(Reservation, EachContainerIsAClientOfMpsAndInitContainersAreGoneBefore) {
  using enum ContainerKind;
  const std::vector<ContainerPlacement> containers = {
      On(kSidecar, 0, {{"A", 1, 1}}), On(kInit, 1, {{"A", 1, 1}}), On(kInit, 2, {{"A", 1, 1}}),
      On(kApp, 0, {{"A", 1, 1}}), On(kApp, 1, {{"A", 1, 1}, {"B", 1, 1}})};
  const auto mps = ReservationOf({containers}, Isolation::kMps);
  EXPECT_EQ(mps, (Reservation{{{"A", {3, 3, 3}}, {"B", {1, 1, 1}}}, Isolation::kMps}));
  const auto shared = ReservationOf({containers}, Isolation::kShared);
  EXPECT_EQ(shared.devices[0].amount, (Amount{3, 3, 0}));
}

TEST(Reservation, ReleaseUndoesReserveExactly) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeInfo node = random.ANode(6);
    const NodeInfo before = node;
    std::vector<Reservation> held;
    for (int i = 0; i < 5; ++i) {
      const PodRequest pod = random.APod(4, 2);
      const auto placement = FindPlacement(node, pod);
      if (!placement) continue;
      held.push_back(ReservationOf(*placement, pod.isolation));
      EXPECT_EQ(Reserve(node, held.back()), 0u);
    }
    std::shuffle(held.begin(), held.end(), random.engine());
    for (const Reservation& reservation : held) Release(node, reservation);
    EXPECT_EQ(node, before);
  }
}

TEST(Reservation, CpuIsCountedButNeverKeepsAPodAway) {
  NodeInfo node = Node(1);
  node.cpu_milli = 1000;
  PodRequest pod{.containers = {{.name = "c", .gpu = {1, 10, 0, 10}}}, .cpu_milli = 5000};
  const auto placement = FindPlacement(node, pod);
  ASSERT_TRUE(placement) << "whether CPU suffices is kube-scheduler's to say";
  const Reservation reservation = ReservationOf(*placement, pod);
  Reserve(node, reservation);
  Reserve(node, reservation);
  EXPECT_EQ(node.cpu_used_milli, 10000);
  Release(node, reservation);
  EXPECT_EQ(node.cpu_used_milli, 5000);
}

TEST(Reservation, TellsOfGpusThatAreNotThere) {
  NodeInfo node = Node(1);
  const Reservation lost{{{"GPU-0", {1, 1}}, {"GPU-77", {1, 1}}}, Isolation::kShared};
  EXPECT_EQ(Reserve(node, lost), 1u);
  EXPECT_EQ(node.devices[0].used, (Amount{1, 1}));
  EXPECT_EQ(node.devices[0].tenants, 1);
  Release(node, lost);
  EXPECT_EQ(node, Node(1));
}

}  // namespace
}  // namespace tessera::binpack
