// What must hold for every node and every pod; seeded random ones stand for them.
#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "binpack/selector.h"
#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

constexpr unsigned kSeeds = 1500;

void ExpectWithinCapacity(const NodeInfo& before, const PodRequest& pod,
                          const Placement& placement) {
  NodeInfo after = before;
  const auto reservation = ReservationOf(placement, pod.isolation);
  ASSERT_EQ(Reserve(after, reservation), 0u);
  for (const DeviceReservation& held : reservation.devices) {
    const DeviceInfo& info = *FindDevice(after, held.uuid);
    EXPECT_TRUE(Within(info.used, info.capacity())) << held.uuid;
    EXPECT_TRUE(info.device.healthy);
    EXPECT_TRUE(Accepts(pod.selector, info.device));
    EXPECT_TRUE(InOneMode(info)) << held.uuid;
    EXPECT_TRUE(pod.isolation != Isolation::kMps || info.device.mps);
  }
}

void ExpectAnswersTheRequest(const NodeInfo& node, const PodRequest& pod,
                             const Placement& placement) {
  ASSERT_EQ(placement.containers.size(), pod.containers.size());
  for (std::size_t i = 0; i < pod.containers.size(); ++i) {
    const auto& want = pod.containers[i];
    const auto& got = placement.containers[i];
    EXPECT_EQ(got.kind, want.kind);
    EXPECT_EQ(got.index, want.index);
    ASSERT_EQ(got.devices.size(), static_cast<std::size_t>(want.gpu.count));
    for (std::size_t j = 0; j < got.devices.size(); ++j) {
      const DeviceInfo& info = *FindDevice(node, got.devices[j].uuid);
      EXPECT_EQ((Amount{got.devices[j].memory_mib, got.devices[j].cores_percent}),
                Resolve(want.gpu, info.capacity()));
      if (j > 0) {
        const DeviceInfo& previous = *FindDevice(node, got.devices[j - 1].uuid);
        EXPECT_LT(previous.device.index, info.device.index) << "distinct, in order";
        EXPECT_TRUE(pod.topology == Topology::kNone ||
                    previous.device.numa_node == info.device.numa_node);
      }
    }
  }
}

/// True if some choice of GPUs for every container stays within capacity; tries all.
bool SomePlacementExists(const NodeInfo& node, const PodRequest& pod) {
  Placement placement;
  for (const auto& container : pod.containers)
    placement.containers.push_back({container.kind, container.index, {}});
  const auto holds = [&] {
    NodeInfo after = node;
    const auto reservation = ReservationOf(placement, pod.isolation);
    Reserve(after, reservation);
    return std::all_of(reservation.devices.begin(), reservation.devices.end(),
                       [&](const DeviceReservation& held) {
                         const DeviceInfo& info = *FindDevice(after, held.uuid);
                         return Within(info.used, info.capacity()) && InOneMode(info);
                       });
  };
  const std::function<bool(std::size_t, std::size_t)> choose = [&](std::size_t container,
                                                                   std::size_t from) {
    if (container == pod.containers.size()) return holds();
    auto& devices = placement.containers[container].devices;
    const auto& want = pod.containers[container].gpu;
    if (devices.size() == static_cast<std::size_t>(want.count)) return choose(container + 1, 0);
    for (std::size_t i = from; i < node.devices.size(); ++i) {
      const DeviceInfo& info = node.devices[i];
      if (!info.device.healthy || !Accepts(pod.selector, info.device)) continue;
      if (pod.isolation == Isolation::kMps && !info.device.mps) continue;
      if (pod.topology == Topology::kNuma && !devices.empty() &&
          FindDevice(node, devices[0].uuid)->device.numa_node != info.device.numa_node) {
        continue;
      }
      const Amount amount = Resolve(want, info.capacity());
      devices.push_back({info.device.uuid, amount.memory_mib, amount.cores_percent});
      if (choose(container, i + 1)) return true;
      devices.pop_back();
    }
    return false;
  };
  return choose(0, 0);
}

TEST(FitProperties, NeverOverCapacityAndAlwaysWhatWasAsked) {
  int placed = 0;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeInfo node = random.ANode(8);
    for (int i = 0; i < 6; ++i) {
      const PodRequest pod = random.APod(4, 3);
      const auto result = Fit(node, pod);
      EXPECT_NE(result.fits(), !result.shortages.empty());
      if (!result.fits()) continue;
      ++placed;
      ExpectAnswersTheRequest(node, pod, *result.placement);
      ExpectWithinCapacity(node, pod, *result.placement);
      Reserve(node, ReservationOf(*result.placement, pod.isolation));
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
  }
  EXPECT_GT(placed, 1000) << "too few placements to prove anything";
}

TEST(FitProperties, AgreesWithTryingEverything) {
  int yes = 0;
  int no = 0;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const NodeInfo node = random.ANode(4);
    const PodRequest pod = random.APod(4, 2);
    const bool exists = SomePlacementExists(node, pod);
    (exists ? yes : no) += 1;
    ASSERT_EQ(Fit(node, pod).fits(), exists);
  }
  EXPECT_GT(yes, 200);
  EXPECT_GT(no, 200);
}

TEST(FitProperties, OrderOfDevicesDoesNotChangeTheDecision) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const NodeInfo node = random.ANode(8);
    const PodRequest pod = random.APod(3, 3);
    NodeInfo shuffled = node;
    std::shuffle(shuffled.devices.begin(), shuffled.devices.end(), random.engine());
    const auto a = Fit(node, pod);
    const auto b = Fit(shuffled, pod);
    ASSERT_EQ(a.fits(), b.fits());
    ASSERT_EQ(a.placement, b.placement);
    ASSERT_EQ(a.resolvable, b.resolvable);
  }
}

TEST(FitProperties, MoreCapacityNeverLosesFeasibility) {
  int checked = 0;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeInfo node = random.ANode(4);
    PodRequest pod = random.APod(3, 2);
    // A percentage asks for more of a larger GPU: only absolute requests can promise this for
    // memory.
    for (auto& container : pod.containers) {
      if (container.gpu.memory_percent > 0)
        container.gpu = {container.gpu.count, 300, 0, container.gpu.cores_percent};
    }
    if (!Fit(node, pod).fits()) continue;
    ++checked;
    auto& grown =
        node.devices[static_cast<std::size_t>(random.Below(static_cast<int>(node.devices.size())))];
    grown.device.memory_mib += 100 * random.Below(5);
    grown.device.cores_percent += 10 * random.Below(3);
    EXPECT_TRUE(Fit(node, pod).fits()) << "a larger GPU";
    node.devices.push_back({.device = Gpu(50 + random.Below(5)), .used = {}});
    EXPECT_TRUE(Fit(node, pod).fits()) << "one GPU more";
    for (DeviceInfo& info : node.devices) info.device.healthy = true;
    EXPECT_TRUE(Fit(node, pod).fits()) << "a GPU repaired";
  }
  EXPECT_GT(checked, 300);
}

/// Pods of all isolations come and go, as the extender's cache has it.
TEST(FitProperties, NoGpuIsEverInTwoModes) {
  int joined = 0;
  int refused = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeInfo node = Node(3);
    for (DeviceInfo& info : node.devices) info.device.mps = true;
    std::vector<Reservation> bound;
    for (int step = 0; step < 60; ++step) {
      if (!bound.empty() && random.OneIn(3)) {
        std::swap(bound[static_cast<std::size_t>(random.Below(static_cast<int>(bound.size())))],
                  bound.back());
        Release(node, bound.back());
        bound.pop_back();
      }
      PodRequest pod = Pod({App(0, {1, 10, 0, random.Below(3)})});
      if (random.OneIn(2)) pod.containers.push_back(App(1, {1, 10, 0, 1}));
      if (random.OneIn(4)) pod.gpu_policy = PlacementPolicy::kSpread;
      pod.isolation = random.AnIsolation();
      const auto placement = FindPlacement(node, pod);
      refused += placement ? 0 : 1;
      if (!placement) continue;
      bound.push_back(ReservationOf(*placement, pod));
      Reserve(node, bound.back());
      for (const DeviceInfo& info : node.devices) {
        ASSERT_TRUE(InOneMode(info)) << info.device.uuid;
        ASSERT_LE(info.used.mps_clients, kMaxMpsClients);
        joined += info.mps_tenants > 1 ? 1 : 0;
      }
    }
  }
  EXPECT_GT(joined, 1000) << "MPS pods must share GPUs here";
  EXPECT_GT(refused, 500);
}

TEST(FitProperties, WhatDoesNotFitButIsResolvableFitsTheEmptyNode) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    NodeInfo node = random.ANode(6);
    const PodRequest pod = random.APod(3, 3);
    const auto result = Fit(node, pod);
    if (result.fits()) continue;
    for (DeviceInfo& info : node.devices) info = {.device = info.device, .used = {}};
    ASSERT_EQ(Fit(node, pod).fits(), result.resolvable);
  }
}

}  // namespace
}  // namespace tessera::binpack
