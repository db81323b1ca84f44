#include <algorithm>
#include <set>

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include "binpack/mig/placement.h"
#include "binpack/simulate/mig_churn.h"
#include "common/json/json.h"
#include "tests/binpack/simulate/files.h"

namespace tessera::binpack::mig {
namespace {

using Layout = std::multiset<std::pair<int, std::string_view>>;  ///< start, profile

/// Every set of instances that can be reached, for the profiles whose indices are given.
void Explore(const Family& family, const std::vector<std::size_t>& profiles, const GpuState& state,
             const Layout& layout, std::set<Layout>& all, std::set<Layout>& maximal) {
  if (!all.insert(layout).second) return;
  bool grown = false;
  for (const std::size_t p : profiles) {
    for (int start = 0; start < family.slots; ++start) {
      if (!CanPlace(family, state, family.profiles[p], start)) continue;
      grown = true;
      Layout next = layout;
      next.emplace(start, family.profiles[p].name);
      Explore(family, profiles, Add(state, family.profiles[p], start), next, all, maximal);
    }
  }
  if (!grown) maximal.insert(layout);
}

TEST(Geometry, HasThePublishedNumberOfLayouts) {
  const struct {
    const char* name;
    const char* family;
    std::vector<std::size_t> profiles;
    std::size_t reachable, maximal;
  } cases[] = {
      {"A100: NVIDIA's table of 19", "A100-40GB", {0, 3, 4, 5, 6}, 298, 19},
      {"with 1g of two slots", "A100-80GB", {0, 2, 3, 4, 5, 6}, 723, 78},
      {"A30", "A30-24GB", {0, 2, 4}, 26, 5},
      {"B200 is as A100", "B200-180GB", {0, 3, 4, 5, 6}, 298, 19},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    std::set<Layout> all, maximal;
    Explore(*FindFamily(c.family), c.profiles, {}, {}, all, maximal);
    EXPECT_EQ(all.size(), c.reachable);
    EXPECT_EQ(maximal.size(), c.maximal);
  }
}

TEST(Geometry, The19LayoutsOfAnA100AreTheseAndNoOthers) {
  // Compute slices of the instances from the first slot to the last, as in NVIDIA's table.
  const std::set<std::string> want{
      "7",     "43",   "421",   "4111",  "33",    "321",    "3111",   "223",    "2113",   "1123",
      "11113", "2221", "21121", "11221", "22111", "211111", "112111", "111121", "1111111"};
  EXPECT_EQ(want.size(), 19U);
  std::set<Layout> all, maximal;
  Explore(*FindFamily("A100-40GB"), {0, 3, 4, 5, 6}, {}, {}, all, maximal);
  std::set<std::string> got;
  for (const Layout& layout : maximal) {
    std::string text;
    for (const auto& [start, name] : layout) text += name[0];
    got.insert(text);
  }
  EXPECT_EQ(got, want);
}

TEST(Geometry, RemovingUndoesAdding) {
  for (const Family& family : Families()) {
    for (const Profile& profile : family.profiles) {
      for (int start = 0; start < family.slots; ++start) {
        if (!CanPlace(family, {}, profile, start)) continue;
        EXPECT_EQ(Remove(Add({}, profile, start), profile, start), GpuState{}) << profile.name;
        EXPECT_FALSE(CanPlace(family, Add({}, profile, start), profile, start)) << profile.name;
      }
    }
  }
}

TEST(Geometry, TableAgreesWithTheRule) {
  for (const Family& family : Families()) {
    const StateTable table(family);
    GpuState state;
    for (std::size_t p = 0; p < family.profiles.size(); ++p) {
      for (int start = 0; start < family.slots; ++start) {
        EXPECT_EQ(table.Starts(state, p) >> start & 1,
                  CanPlace(family, state, family.profiles[p], start) ? 1 : 0);
      }
      if (table.Starts(state, p) != 0) {
        state = Add(state, family.profiles[p], std::countr_zero(table.Starts(state, p)));
      }
    }
  }
}

TEST(Geometry, OnlyOneInstanceHasTheMediaEngines) {
  const Family& family = *FindFamily("H100-80GB");
  const GpuState state = Add({}, family.profiles[1], 0);
  EXPECT_FALSE(CanPlace(family, state, family.profiles[1], 1));
  EXPECT_TRUE(CanPlace(family, state, family.profiles[0], 1));
}

TEST(Geometry, FamiliesAreThoseOfTheSharedData) {
  const auto text = ReadFile(SharedData("mig_profiles.json"));
  if (!text) GTEST_SKIP() << "no mig_profiles.json in " << SharedData("");
  const auto document = json::Parse(*text);
  ASSERT_TRUE(document);
  int compared = 0;
  for (const auto& wanted : (*document.value().FindMember("families")).value.GetArray()) {
    std::string name = *json::GetString(wanted, "gpu");
    name = name.substr(0, name.find('/'));
    const Family* family = FindFamily(name);
    if (family == nullptr) continue;  // without placements in the data
    SCOPED_TRACE(name);
    ++compared;
    EXPECT_EQ(family->slots, *json::GetInt(wanted, "mem_slots"));
    EXPECT_EQ(family->compute_slices, *json::GetInt(wanted, "compute_slices"));
    const auto profiles = (*json::GetArray(wanted, "profiles"))->GetArray();
    ASSERT_EQ(profiles.Size(), family->profiles.size());
    for (rapidjson::SizeType p = 0; p < profiles.Size(); ++p) {
      const Profile& profile = family->profiles[p];
      SCOPED_TRACE(std::string(profile.name));
      EXPECT_EQ(profile.name, *json::GetString(profiles[p], "profile"));
      EXPECT_EQ(profile.gi_profile_id, *json::GetInt(profiles[p], "gi_profile_id"));
      EXPECT_EQ(profile.compute_slices, *json::GetInt(profiles[p], "compute_slices"));
      EXPECT_EQ(profile.slots, *json::GetInt(profiles[p], "mem_slots"));
      unsigned starts = 0;
      for (const auto& start : (*json::GetArray(profiles[p], "starts"))->GetArray()) {
        starts |= 1U << start.GetUint();
      }
      EXPECT_EQ(profile.starts, starts);
      // `max` follows from slots, starts and slices.
      GpuState state;
      int count = 0;
      for (int start = 0; start < family->slots; ++start) {
        if (!CanPlace(*family, state, profile, start)) continue;
        state = Add(state, profile, start);
        ++count;
      }
      EXPECT_EQ(count, *json::GetInt(profiles[p], "max"));
    }
  }
  EXPECT_EQ(compared, static_cast<int>(Families().size()));
}

TEST(Placement, KeepsWhatLargeProfilesNeed) {
  const Family& family = *FindFamily("A100-40GB");
  const StateTable table(family);
  const std::vector<double> weights(family.profiles.size(), 1.0);
  const auto state = [&](std::initializer_list<std::pair<std::size_t, int>> instances) {
    GpuState gpu;
    for (const auto& [profile, start] : instances) gpu = Add(gpu, family.profiles[profile], start);
    return gpu;
  };
  const struct {
    const char* name;
    std::vector<GpuState> gpus;
    std::size_t profile;
    Spot want;
  } cases[] = {
      {"a 1g leaves the half where a 4g can stand", {{}}, 0, {0, 6}},
      {"a 1g goes where one is already", {{}, state({{0, 6}})}, 0, {1, 5}},
      {"a 3g takes the half that no 4g can take", {{}}, 4, {0, 4}},
      {"a 2g next to a 3g", {{}, state({{4, 4}})}, 3, {1, 2}},
      {"the only one with room", {state({{6, 0}}), state({{5, 0}})}, 4, {1, 4}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto spot = LeastCapabilityLoss(table, c.gpus, c.profile, weights);
    ASSERT_TRUE(spot);
    EXPECT_EQ(spot->gpu, c.want.gpu);
    EXPECT_EQ(spot->start, c.want.start);
  }
  EXPECT_FALSE(LeastCapabilityLoss(table, std::vector{state({{6, 0}})}, 0, weights));
  EXPECT_EQ(FirstFit(table, std::vector<GpuState>(2), 0), (Spot{0, 0}));
  EXPECT_EQ(Spread(table, std::vector{state({{0, 0}}), GpuState{}}, 0), (Spot{1, 0}));
}

TEST(ProfileDemand, FollowsArrivalsAndKeepsAFloorForLargeProfiles) {
  ProfileDemand demand(*FindFamily("A100-40GB"));
  for (int i = 0; i < 2000; ++i) demand.Observe(0);
  const auto weights = demand.Weights();
  EXPECT_GT(weights[0], 0.9);
  EXPECT_LT(weights[3], 0.02);
  EXPECT_GT(weights[3], 0);
  EXPECT_DOUBLE_EQ(weights[6], ProfileDemand::kLargeFloor);
}

TEST(MigChurn, CapabilityAcceptsMoreThanFirstFitAndSpread) {
  const StateTable table(*FindFamily("H100-80GB"));
  const auto accepted = [&](const std::string& policy, const std::string& mix) {
    return simulate::MigChurn(table, {.policy = policy, .mix = mix, .offered = 0.8}).accepted;
  };
  for (const char* mix : {"uniform", "no-largest"}) {
    SCOPED_TRACE(mix);
    EXPECT_GT(accepted("capability", mix), accepted("first-fit", mix));
    EXPECT_GT(accepted("first-fit", mix), accepted("spread", mix));
  }
}

}  // namespace
}  // namespace tessera::binpack::mig
