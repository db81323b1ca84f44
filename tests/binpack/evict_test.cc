// Who must go for a pod: tables, and what must hold for every node; seeded random ones stand for
// them.
#include "binpack/evict.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/binpack/build.h"

namespace tessera::binpack {
namespace {

struct On {
  std::string uid;
  std::vector<int> gpus;
  std::int64_t memory_mib;
  std::int32_t priority = 0;
  std::int64_t started = 0;
  bool terminating = false;
  bool evictable = true;
  bool exclusive = false;
};

std::vector<Tenant> Fill(NodeInfo& node, const std::vector<On>& pods) {
  std::vector<Tenant> tenants;
  for (const On& pod : pods) {
    Tenant tenant{.uid = pod.uid,
                  .priority = pod.priority,
                  .started = pod.started,
                  .evictable = pod.evictable,
                  .terminating = pod.terminating};
    for (const int gpu : pod.gpus)
      tenant.reservation.devices.push_back({"GPU-" + std::to_string(gpu), {pod.memory_mib, 0}});
    if (pod.exclusive) tenant.reservation.isolation = Isolation::kExclusive;
    Reserve(node, tenant.reservation);
    tenants.push_back(std::move(tenant));
  }
  return tenants;
}

TEST(Eviction, ChoosesWhoMustGo) {
  struct Case {
    const char* name;
    int gpus;
    std::vector<On> tenants;
    PodRequest request;
    std::optional<std::vector<std::string>> want;  ///< nothing: the node is of no use
  };
  using Uids = std::vector<std::string>;
  PodRequest numa = Pod({App(0, {2, 600, 0, 0})});
  PodRequest exclusive = OneGpu(100, 0);
  exclusive.isolation = Isolation::kExclusive;
  const Case cases[] = {
      {"fits as it is", 2, {{"a", {0}, 900}}, OneGpu(900, 0), Uids{}},
      {"the one that is in the way",
       2,
       {{"a", {0}, 600}, {"b", {1}, 900, 99}},
       OneGpu(900, 0),
       Uids{"a"}},
      {"not the two youngest, but two on one GPU",
       2,
       {{"a", {0}, 500, 0, 1}, {"b", {1}, 500, 0, 2}, {"c", {0}, 500, 0, 3}, {"d", {1}, 500, 0, 4}},
       OneGpu(1000, 0),
       Uids{"b", "d"}},
      {"lower priority before fewer",
       2,
       {{"a", {0}, 1000, 5}, {"b", {1}, 500, 1}, {"c", {1}, 500, 1}},
       OneGpu(1000, 0),
       Uids{"b", "c"}},
      {"fewer of the same priority",
       2,
       {{"a", {0}, 500, 1, 9}, {"b", {0}, 500, 1, 8}, {"c", {1}, 1000, 1, 1}},
       OneGpu(1000, 0),
       Uids{"c"}},
      {"the younger of equals",
       1,
       {{"a", {0}, 500, 1, 7}, {"b", {0}, 500, 1, 8}},
       OneGpu(500, 0),
       Uids{"b"}},
      {"more important ones come first",
       1,
       {{"a", {0}, 300, 1}, {"b", {0}, 300, 3}, {"c", {0}, 400, 2}},
       OneGpu(1000, 0),
       Uids{"b", "c", "a"}},
      {"never an equal", 1, {{"a", {0}, 900, 10}}, OneGpu(900, 0), std::nullopt},
      {"never a more important one", 1, {{"a", {0}, 900, 11}}, OneGpu(900, 0), std::nullopt},
      {"never one whose bind is under way",
       1,
       {{.uid = "a", .gpus = {0}, .memory_mib = 900, .evictable = false}},
       OneGpu(900, 0),
       std::nullopt},
      {"waits for one that leaves anyway, whatever its priority",
       2,
       {{.uid = "a", .gpus = {0}, .memory_mib = 900, .priority = 99, .terminating = true},
        {"b", {1}, 900, 0}},
       OneGpu(900, 0),
       Uids{}},
      {"one that leaves frees a part",
       1,
       {{.uid = "a", .gpus = {0}, .memory_mib = 500, .terminating = true}, {"b", {0}, 500}},
       OneGpu(900, 0),
       Uids{"b"}},
      {"a pod on two GPUs frees both",
       2,
       {{"a", {0, 1}, 500, 1}, {"b", {0}, 500, 1}, {"c", {1}, 500, 1}},
       Pod({App(0, {2, 500, 0, 0})}),
       Uids{"a"}},
      {"two of four GPUs, the cheapest",
       4,
       {{"a", {0}, 900, 4}, {"b", {1}, 900, 1}, {"c", {2}, 900, 3}, {"d", {3}, 900, 2}},
       numa,
       Uids{"d", "b"}},
      {"an exclusive pod wants its GPU alone",
       1,
       {{"a", {0}, 10}, {"b", {0}, 20, 1}},
       exclusive,
       Uids{"b", "a"}},
      {"an exclusive tenant goes",
       1,
       {{.uid = "a", .gpus = {0}, .memory_mib = 10, .exclusive = true}},
       OneGpu(100, 0),
       Uids{"a"}},
      {"no GPU is large enough", 2, {{"a", {0}, 10}}, OneGpu(1001, 0), std::nullopt},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    NodeInfo node = Node(c.gpus);
    const auto tenants = Fill(node, c.tenants);
    const auto eviction = FindEviction(node, tenants, c.request, 10);
    ASSERT_EQ(eviction.has_value(), c.want.has_value());
    if (eviction) {
      EXPECT_EQ(eviction->victims, *c.want);
    }
  }
}

TEST(Eviction, RanksSetsByHighestThenSumThenNumber) {
  const auto rank = [](const std::vector<std::int32_t>& priorities) {
    EvictionRank out;
    for (const auto priority : priorities) out.Add(priority);
    return out;
  };
  EXPECT_LT(rank({}), rank({INT32_MIN}));
  EXPECT_LT(rank({1, 1, 1}), rank({2}));
  EXPECT_LT(rank({2, 1}), rank({2, 2}));
  EXPECT_LT(rank({-5}), rank({-5, -7})) << "a victim of negative priority is one more all the same";
  EXPECT_LT(rank({INT32_MAX}), rank({INT32_MAX, INT32_MIN}));
}

/// A node with tenants of all kinds, some of whom over-commit it.
struct Scene {
  NodeInfo node;
  std::vector<Tenant> tenants;
  PodRequest request;
  std::int32_t priority;

  explicit Scene(unsigned seed) {
    Random random(seed);
    node = random.ANode(5);
    const int count = random.Below(12);
    for (int i = 0; i < count; ++i) {
      PodRequest pod = random.APod(2, 2);
      pod.selector = {};
      const auto placement = FindPlacement(node, pod);
      if (!placement) continue;
      Tenant tenant{.uid = "t" + std::to_string(i),
                    .reservation = ReservationOf(*placement, pod),
                    .priority = random.Below(5) - 1,
                    .started = random.Below(3),
                    .evictable = !random.OneIn(6),
                    .terminating = random.OneIn(6)};
      Reserve(node, tenant.reservation);
      tenants.push_back(std::move(tenant));
    }
    request = random.APod(3, 2);
    priority = random.Below(5);
  }
  bool IsVictim(const Eviction& eviction, const Tenant& tenant) const {
    return std::count(eviction.victims.begin(), eviction.victims.end(), tenant.uid) > 0;
  }
  /// Without those who leave anyway, the victims, and nobody else; but with `spared`.
  NodeInfo After(const Eviction& eviction, const Tenant* spared = nullptr) const {
    NodeInfo after = node;
    for (const Tenant& tenant : tenants) {
      if (&tenant == spared) continue;
      if (tenant.terminating || IsVictim(eviction, tenant)) Release(after, tenant.reservation);
    }
    return after;
  }
};

TEST(EvictionProperties, TheResultFitsIsMinimalAndTakesOnlyWhoMayGo) {
  int with_victims = 0;
  int several = 0;
  int hopeless = 0;
  for (unsigned seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(seed);
    const Scene scene(seed);
    const auto eviction = FindEviction(scene.node, scene.tenants, scene.request, scene.priority);
    if (!eviction) {
      ++hopeless;
      NodeInfo emptied = scene.node;
      for (const Tenant& tenant : scene.tenants) {
        if (tenant.terminating || (tenant.evictable && tenant.priority < scene.priority))
          Release(emptied, tenant.reservation);
      }
      EXPECT_FALSE(FindPlacement(emptied, scene.request)) << "given up though it would fit";
      continue;
    }
    with_victims += eviction->victims.empty() ? 0 : 1;
    several += eviction->victims.size() > 1 ? 1 : 0;
    NodeInfo placed = scene.After(*eviction);
    const NodeInfo before = placed;
    ASSERT_TRUE(FindPlacement(before, scene.request));
    const auto reservation = ReservationOf(eviction->placement, scene.request);
    ASSERT_EQ(Reserve(placed, reservation), 0u);
    for (const auto& held : reservation.devices) {
      const DeviceInfo& info = *FindDevice(placed, held.uuid);
      EXPECT_TRUE(Within(info.used, info.capacity()));
      EXPECT_TRUE(InOneMode(info));
    }
    std::size_t known = 0;
    for (const Tenant& tenant : scene.tenants) {
      if (!scene.IsVictim(*eviction, tenant)) continue;
      ++known;
      EXPECT_LT(tenant.priority, scene.priority);
      EXPECT_TRUE(tenant.evictable);
      EXPECT_FALSE(tenant.terminating);
      EXPECT_FALSE(FindPlacement(scene.After(*eviction, &tenant), scene.request))
          << tenant.uid << " could have stayed";
    }
    EXPECT_EQ(known, eviction->victims.size()) << "each once";
  }
  EXPECT_GT(with_victims, 300);
  EXPECT_GT(several, 50);
  EXPECT_GT(hopeless, 100);
}

/// For pods that want one GPU of one container, the best set is on one GPU: all are tried here.
TEST(EvictionProperties, OneGpuIsFreedAtTheLeastCost) {
  int compared = 0;
  for (unsigned seed = 1; seed <= 1500; ++seed) {
    SCOPED_TRACE(seed);
    Scene scene(seed);
    scene.request = Random(seed).APod(1, 1);
    scene.request.topology = Topology::kNone;
    const auto eviction = FindEviction(scene.node, scene.tenants, scene.request, scene.priority);
    if (!eviction || eviction->victims.empty()) continue;
    const auto rank_of = [&](const std::vector<const Tenant*>& victims) {
      EvictionRank rank;
      for (const Tenant* victim : victims) rank.Add(victim->priority);
      return rank;
    };
    std::vector<const Tenant*> chosen;
    std::vector<const Tenant*> movable;
    for (const Tenant& tenant : scene.tenants) {
      if (scene.IsVictim(*eviction, tenant)) chosen.push_back(&tenant);
      if (tenant.evictable && !tenant.terminating && tenant.priority < scene.priority)
        movable.push_back(&tenant);
    }
    std::int32_t least_highest = INT32_MAX;
    for (unsigned set = 1; set < (1u << movable.size()); ++set) {
      Eviction tried;
      std::vector<const Tenant*> victims;
      for (std::size_t i = 0; i < movable.size(); ++i) {
        if ((set >> i & 1u) == 0) continue;
        tried.victims.push_back(movable[i]->uid);
        victims.push_back(movable[i]);
      }
      if (FindPlacement(scene.After(tried), scene.request))
        least_highest = std::min(least_highest, rank_of(victims).highest);
    }
    EXPECT_EQ(rank_of(chosen).highest, least_highest);
    ++compared;
  }
  EXPECT_GT(compared, 150);
}

}  // namespace
}  // namespace tessera::binpack
