#include "extender/verdict_cache.h"

#include <random>

#include <gmock/gmock.h>

#include "binpack/score.h"
#include "extender/candidates.h"
#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

using binpack::PodRequest;

std::vector<PodRequest> SomeRequests() {
  PodRequest spread = Ask(200, 20);
  spread.node_policy = binpack::PlacementPolicy::kSpread;
  PodRequest alone = Ask(200, 20);
  alone.isolation = binpack::Isolation::kExclusive;
  PodRequest picky = Ask(200, 20);
  picky.selector.models_none = {{.text = "A100"}};
  PodRequest uuid = Ask(200, 20);
  uuid.selector.uuids_any = {"n1-0", "n2-1"};
  PodRequest with_init = Ask(200, 20);
  with_init.containers.insert(
      with_init.containers.begin(),
      {.name = "i", .kind = binpack::ContainerKind::kInit, .gpu = {2, 500, 0, 50}});
  return {Ask(200, 20), Ask(600, 60), Ask(1000, 100, 2), spread, alone, picky, uuid, with_init};
}

class VerdictCacheTest : public CacheTest {
 protected:
  VerdictCache::Reader Read(const PodRequest& request) {
    return verdicts_.Read(request, cache_.UpdateSnapshot(), ranking_.model());
  }
  /// How many verdicts had to be made for verdicts on all nodes.
  std::size_t Made(const PodRequest& request) {
    auto reader = Read(request);
    for (std::size_t i = 0; i < reader.snapshot().size(); ++i) reader.Of(i);
    return reader.made();
  }
};

/// A cluster to which anything may happen.
class ChangingCluster : public VerdictCacheTest {
 protected:
  static constexpr int kNodes = 12;

  std::size_t Below(std::size_t end) { return random_() % end; }
  std::string ANode() { return "n" + std::to_string(Below(kNodes)); }
  std::string APod() { return "p" + std::to_string(Below(30)); }

  void ChangeNode() {
    const std::string name = ANode();
    auto inventory = Gpus(name, 1 + static_cast<int>(Below(4)));
    inventory.gpus[0].healthy = Below(3) != 0;
    if (Below(3) == 0) inventory.gpus[0].model = "NVIDIA A10";
    switch (Below(4)) {
      case 0:
        return cache_.RemoveNode(name);
      case 1:
        return cache_.SetNode(name, std::nullopt);
      default:
        return cache_.SetNode(name, Result<contract::Inventory>(inventory));
    }
  }
  void Change() {
    switch (Below(8)) {
      case 0:
        return cache_.RemovePod(APod());
      case 1:
        return cache_.ForgetPod(APod());
      case 2:
        return ChangeNode();
      case 3:
        cache_.AddPod(APod(), ANode(), Fail(Errc::kInvalidArgument, "unreadable"));
        return;
      case 4:
        clock_.Advance(std::chrono::seconds(1));
        return;
      case 5:
        ranking_.Observe(std::to_string(random_()), requests_[Below(requests_.size())],
                         *cache_.UpdateSnapshot());
        return;
      case 6:
        cache_.Hold(APod(), {ANode(), ANode()}, requests_[Below(requests_.size())]);
        return;
      default:
        std::ignore = cache_.AssumePod(APod(), ANode(), requests_[Below(requests_.size())]);
    }
  }
  std::vector<std::pair<std::string, Verdict>> All(VerdictCache& verdicts,
                                                   const ExtenderArgs& args) {
    auto reader = verdicts.Read(args.pod.request, cache_.UpdateSnapshot(), ranking_.model());
    std::vector<std::pair<std::string, Verdict>> all;
    JudgeAll(args, reader, [&](std::string_view name, const Verdict& verdict) {
      all.emplace_back(name, verdict);
    });
    return all;
  }
  /// The same, one by one and without any cache.
  std::vector<std::pair<std::string, Verdict>> Plainly(const ExtenderArgs& args) {
    const auto snapshot = cache_.UpdateSnapshot();
    const auto model = ranking_.model();
    std::vector<std::pair<std::string, Verdict>> all;
    for (const std::string& name : *args.node_names) {
      const NodeView* view = snapshot->Find(name);
      if (view == nullptr) {
        all.emplace_back(name, Verdict{.refusal = "the node is not known yet", .resolvable = true});
      } else if (!view->refusal.empty()) {
        all.emplace_back(name, Verdict{.refusal = view->refusal});
      } else {
        all.emplace_back(name, Judge(view->HeldByOthers(args.pod.uid), args.pod.request, *model));
      }
    }
    return all;
  }

  std::mt19937 random_{7};
  const std::vector<PodRequest> requests_ = SomeRequests();
};

TEST_F(ChangingCluster, VerdictsAreTheSameAsWithoutTheCache) {
  VerdictCache small(2 * kNodes);
  std::vector<std::string> names = {"stranger"};
  for (int i = 0; i < kNodes; ++i) names.push_back("n" + std::to_string(i));
  int fitting = 0;
  int refused = 0;
  int short_of = 0;
  for (int i = 0; i < 10'000; ++i) {
    SCOPED_TRACE(i);
    Change();
    const auto args = Args(APod(), requests_[Below(requests_.size())], names);
    const auto expected = Plainly(args);
    ASSERT_EQ(All(verdicts_, args), expected);
    ASSERT_EQ(All(small, args), expected);
    for (const auto& [name, verdict] : expected) {
      fitting += verdict.fits ? 1 : 0;
      refused += verdict.refusal.empty() ? 0 : 1;
      short_of += verdict.shortages.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(fitting, 5'000);
  EXPECT_GT(refused, 5'000);
  EXPECT_GT(short_of, 5'000);
}

TEST_F(VerdictCacheTest, OnlyNodesThatChangedAreJudgedAnew) {
  for (int i = 0; i < 300; ++i) AddNode(cache_, "n" + std::to_string(i), 1);
  EXPECT_EQ(Made(Ask(200, 20)), 300u);
  EXPECT_EQ(Made(Ask(200, 20)), 0u);
  EXPECT_EQ(Made(Ask(300, 20)), 300u) << "another request";
  ASSERT_TRUE(cache_.AssumePod("p", "n7", Ask(100, 10)));
  cache_.Hold("q", {"n250"}, Ask(100, 10));
  EXPECT_EQ(Made(Ask(200, 20)), 2u);
  cache_.RemovePod("p");
  EXPECT_EQ(Made(Ask(200, 20)), 1u);
  EXPECT_EQ(Made(Ask(300, 20)), 2u);
  ranking_.Observe("new", Ask(100, 10), *cache_.UpdateSnapshot());
  EXPECT_EQ(Made(Ask(200, 20)), 300u) << "another model";
}

TEST_F(VerdictCacheTest, NamesOfContainersDoNotMatter) {
  AddNode(cache_, "n", 1);
  PodRequest other = Ask(200, 20);
  other.containers[0].name = "other";
  other.compute_policy = binpack::ComputePolicy::kBestEffort;
  other.oversubscribe = true;
  other.host_memory_mib = 5000;
  EXPECT_EQ(Made(Ask(200, 20)), 1u);
  EXPECT_EQ(Made(other), 0u);
  other.cpu_milli = 1;
  EXPECT_EQ(Made(other), 1u);
}

TEST_F(VerdictCacheTest, KeepsTheRequestsThatCameLast) {
  AddNode(cache_, "n", 1);
  for (std::int64_t i = 0; i < 2 * static_cast<std::int64_t>(VerdictCache::kMaxRequests); ++i) {
    Made(Ask(1000, 100));
    Made(Ask(i + 1, 1));
  }
  EXPECT_EQ(verdicts_.requests(), VerdictCache::kMaxRequests);
  EXPECT_EQ(Made(Ask(1000, 100)), 0u) << "asked for all the time";
  EXPECT_EQ(Made(Ask(1, 1)), 1u) << "long ago";
}

TEST_F(VerdictCacheTest, ManyNodesLeaveRoomForFewRequests) {
  for (int i = 0; i < 10; ++i) AddNode(cache_, "n" + std::to_string(i), 1);
  VerdictCache verdicts(35);
  for (int i = 1; i < 9; ++i) verdicts.Read(Ask(100, i), cache_.UpdateSnapshot(), ranking_.model());
  EXPECT_EQ(verdicts.requests(), 3u);
  PodRequest uuid = Ask(100, 1);
  uuid.selector.uuids_none = {"x"};
  verdicts.Read(uuid, cache_.UpdateSnapshot(), ranking_.model()).Of(0);
  EXPECT_EQ(verdicts.Read(uuid, cache_.UpdateSnapshot(), ranking_.model()).made(), 0u);
  EXPECT_EQ(verdicts.requests(), 3u) << "named GPUs are not kept";
}

}  // namespace
}  // namespace tessera::extender
