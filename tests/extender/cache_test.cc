#include "extender/cache.h"

#include <random>

#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

using binpack::Amount;
using std::chrono::seconds;

constexpr Amount kNothing{0, 0};

TEST_F(CacheTest, AHoldIsSeenByFiltersOnlyAndEndsByTime) {
  AddNode(cache_, "n", 1);
  EXPECT_EQ(cache_.Hold("p", {"n"}, Ask(600, 50)), "n");
  EXPECT_EQ(Held(cache_, "n"), (Amount{600, 50}));
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
  EXPECT_TRUE(cache_.HeldRequest("p").has_value());
  clock_.Advance(seconds(10) - std::chrono::milliseconds(1));
  EXPECT_EQ(Held(cache_, "n"), (Amount{600, 50}));
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_EQ(Held(cache_, "n"), kNothing);
  EXPECT_FALSE(cache_.HeldRequest("p").has_value());
}

TEST_F(CacheTest, HoldingAgainReplacesTheHoldAndItsTime) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  cache_.Hold("p", {"a"}, Ask(600, 50));
  clock_.Advance(seconds(6));
  EXPECT_EQ(cache_.Hold("p", {"b"}, Ask(500, 40)), "b");
  EXPECT_EQ(Held(cache_, "a"), kNothing);
  clock_.Advance(seconds(6));
  EXPECT_EQ(Held(cache_, "b"), (Amount{500, 40}))
      << "the first hold's time limit does not end the second";
  clock_.Advance(seconds(4));
  EXPECT_EQ(Held(cache_, "b"), kNothing);
}

TEST_F(CacheTest, HoldTakesTheFirstNodeWhereThePodFits) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  EXPECT_EQ(cache_.Hold("p", {"a", "b"}, Ask(600, 50)), "a");
  EXPECT_EQ(cache_.Hold("q", {"a", "b"}, Ask(600, 50)), "b");
  EXPECT_EQ(cache_.Hold("r", {"a", "b", "unknown"}, Ask(600, 50)), std::nullopt);
  cache_.Drop("p");
  cache_.Drop("p");
  EXPECT_EQ(cache_.Hold("r", {"a", "b"}, Ask(600, 50)), "a");
}

TEST_F(CacheTest, AssumeTakesWhatThePodHolds) {
  AddNode(cache_, "n", 2);
  cache_.Hold("first", {"n"}, Ask(100, 10));
  cache_.Hold("p", {"n"}, Ask(950, 10));
  const auto assignment = cache_.AssumePod("p", "n", Ask(950, 10));
  ASSERT_TRUE(assignment) << assignment.error().message;
  EXPECT_EQ(assignment->placement.containers[0].devices[0].uuid, "n-1");
  EXPECT_EQ(Committed(cache_, "n", 1), (Amount{950, 10}));
  EXPECT_EQ(Held(cache_, "n", 1), (Amount{950, 10})) << "counted once";
}

TEST_F(CacheTest, AssumeAvoidsOthersHoldsButIsNotStoppedByThem) {
  AddNode(cache_, "n", 2);
  cache_.Hold("other", {"n"}, Ask(600, 50));  // n-0
  const auto beside = cache_.AssumePod("p", "n", Ask(600, 50));
  ASSERT_TRUE(beside);
  EXPECT_EQ(beside->placement.containers[0].devices[0].uuid, "n-1");
  const auto over = cache_.AssumePod("q", "n", Ask(600, 50));
  ASSERT_TRUE(over) << "a hold alone never makes a bind fail";
  EXPECT_EQ(over->placement.containers[0].devices[0].uuid, "n-0");
  const auto full = cache_.AssumePod("other", "n", Ask(600, 50));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::kResourceExhausted);
  EXPECT_EQ(full.error().message, "node n has no room any more: insufficient GPU memory");
}

TEST_F(CacheTest, AssumeOnAnotherNodeThanHeldGivesTheHoldBack) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  cache_.Hold("p", {"a"}, Ask(600, 50));
  ASSERT_TRUE(cache_.AssumePod("p", "b", Ask(600, 50)));
  EXPECT_EQ(Held(cache_, "a"), kNothing);
  EXPECT_EQ(Committed(cache_, "b"), (Amount{600, 50}));
}

TEST_F(CacheTest, AssumedPodsNeverEndByTime) {
  AddNode(cache_, "n", 1);
  cache_.Hold("p", {"n"}, Ask(600, 50));
  ASSERT_TRUE(cache_.AssumePod("p", "n", Ask(600, 50)));
  cache_.KeepPod("p", Cache::Write::kUnknown);
  clock_.Advance(std::chrono::hours(100));
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
}

TEST_F(CacheTest, ForgetUndoesAssume) {
  AddNode(cache_, "n", 1);
  ASSERT_TRUE(cache_.AssumePod("p", "n", Ask(600, 50)));
  cache_.ForgetPod("p");
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
  EXPECT_EQ(cache_.NodeOf("p"), std::nullopt);
  cache_.ForgetPod("p");
  cache_.ForgetPod("never seen");
}

TEST_F(CacheTest, ForgetLeavesWhatAnotherAttemptOrTheWatchStandsFor) {
  AddNode(cache_, "n", 1);
  const auto first = cache_.AssumePod("p", "n", Ask(600, 50));
  const auto second = cache_.AssumePod("p", "n", Ask(600, 50));
  EXPECT_EQ(*first, *second) << "the same GPUs again";
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
  cache_.ForgetPod("p");
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50})) << "the second attempt is under way";
  cache_.KeepPod("p", Cache::Write::kUnknown);
  cache_.ForgetPod("p");
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50})) << "the second attempt may have arrived";

  ASSERT_TRUE(cache_.AssumePod("q", "n", Ask(100, 10)));
  cache_.AddPod("q", "n", Given("n", 0, 100, 10));
  cache_.ForgetPod("q");
  EXPECT_EQ(Committed(cache_, "n"), (Amount{700, 60})) << "the watch has seen it bound";
}

TEST_F(CacheTest, AssumeElsewhereIsAConflict) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  ASSERT_TRUE(cache_.AssumePod("p", "a", Ask(1, 1)));
  const auto elsewhere = cache_.AssumePod("p", "b", Ask(1, 1));
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().code, Errc::kConflict);
  EXPECT_EQ(Committed(cache_, "b"), kNothing);
}

TEST_F(CacheTest, TheWatchConfirmsMovesAndRemoves) {
  AddNode(cache_, "n", 2);
  ASSERT_TRUE(cache_.AssumePod("p", "n", Ask(600, 50)));
  cache_.AddPod("p", "n", Given("n", 0, 600, 50));
  cache_.AddPod("p", "n", Given("n", 0, 600, 50));
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
  cache_.AddPod("p", "n", Given("n", 1, 300, 20));
  EXPECT_EQ(Committed(cache_, "n"), kNothing) << "what the API server says counts";
  EXPECT_EQ(Committed(cache_, "n", 1), (Amount{300, 20}));
  cache_.RemovePod("p");
  cache_.RemovePod("p");
  EXPECT_EQ(Committed(cache_, "n", 1), kNothing);
}

TEST_F(CacheTest, PodsMayBeKnownBeforeTheirNodeAndOutliveIt) {
  cache_.AddPod("p", "n", Given("n", 0, 600, 50));
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n"), nullptr);
  AddNode(cache_, "n", 1);
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50}));
  cache_.RemoveNode("n");
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n"), nullptr);
  EXPECT_FALSE(cache_.AssumePod("q", "n", Ask(1, 1)));
  AddNode(cache_, "n", 1);
  EXPECT_EQ(Committed(cache_, "n"), (Amount{600, 50})) << "the pod still holds it";
  cache_.RemoveNode("n");
  cache_.RemovePod("p");
  cache_.RemoveNode("n");
  cache_.RemoveNode("never seen");
  AddNode(cache_, "n", 1);
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
}

TEST_F(CacheTest, ANewInventoryKeepsReservationsAndGpusThatComeBack) {
  AddNode(cache_, "n", 2);
  cache_.AddPod("p", "n", Given("n", 1, 600, 50));
  AddNode(cache_, "n", 1);
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->committed.devices.size(), 1u);
  AddNode(cache_, "n", 2);
  EXPECT_EQ(Committed(cache_, "n", 1), (Amount{600, 50}));
}

TEST_F(CacheTest, UnreadableAssignmentsCloseTheNodeUntilThePodIsGone) {
  AddNode(cache_, "n", 1);
  cache_.AddPod("p", "n", Fail(Errc::kInvalidArgument, "version 9 is not known"));
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->refusal, kRefusalUnknownAssignment);
  EXPECT_EQ(cache_.Hold("q", {"n"}, Ask(1, 1)), std::nullopt);
  EXPECT_EQ(cache_.AssumePod("q", "n", Ask(1, 1)).error().code, Errc::kUnavailable);
  EXPECT_FALSE(cache_.AssumePod("p", "n", Ask(1, 1)));
  cache_.RemovePod("p");
  EXPECT_TRUE(cache_.AssumePod("q", "n", Ask(1, 1)));
}

TEST_F(CacheTest, NodesWithoutAReadableInventoryAreClosed) {
  cache_.SetNode("none", std::nullopt);
  cache_.SetNode("bad", Result<contract::Inventory>(Fail(Errc::kInvalidArgument, "not JSON")));
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("none")->refusal, kRefusalNoInventory);
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("bad")->refusal, kRefusalBadInventory);
  EXPECT_FALSE(cache_.AssumePod("p", "none", Ask(1, 1)));
  EXPECT_FALSE(cache_.AssumePod("p", "bad", Ask(1, 1)));
}

TEST_F(CacheTest, OverCommitmentIsShownAndStopsMore) {
  AddNode(cache_, "n", 1);
  cache_.AddPod("p", "n", Given("n", 0, 800, 10));
  EXPECT_FALSE(cache_.UpdateSnapshot()->Find("n")->over_committed);
  cache_.AddPod("q", "n", Given("n", 0, 800, 10));
  EXPECT_TRUE(cache_.UpdateSnapshot()->Find("n")->over_committed);
  EXPECT_FALSE(cache_.AssumePod("r", "n", Ask(1, 0)));
  cache_.RemovePod("q");
  EXPECT_FALSE(cache_.UpdateSnapshot()->Find("n")->over_committed);
}

TEST_F(CacheTest, SnapshotsAreImmutableAndShareUnchangedNodes) {
  AddNode(cache_, "a", 1);
  AddNode(cache_, "b", 1);
  const auto before = cache_.UpdateSnapshot();
  EXPECT_EQ(cache_.UpdateSnapshot(), before) << "nothing changed";
  AddNode(cache_, "b", 1);
  cache_.AddPod("p", "a", Given("a", 0, 600, 50));
  const auto after = cache_.UpdateSnapshot();
  EXPECT_GT(after->generation(), before->generation());
  EXPECT_EQ(before->Find("a")->committed.devices[0].used, kNothing);
  EXPECT_EQ(after->Find("a")->committed.devices[0].used, (Amount{600, 50}));
  EXPECT_EQ(after->Find("b"), before->Find("b")) << "the same object";
}

TEST_F(CacheTest, AbandonLetsGoOnlyOfWhatNobodyWaitsFor) {
  AddNode(cache_, "n", 1);
  EXPECT_TRUE(cache_.AbandonPod("never seen"));
  ASSERT_TRUE(cache_.AssumePod("p", "n", Ask(600, 50)));
  EXPECT_FALSE(cache_.AbandonPod("p")) << "an attempt is under way";
  cache_.KeepPod("p", Cache::Write::kUnknown);
  EXPECT_FALSE(cache_.AbandonPod("p")) << "its write may still arrive";
  clock_.Advance(std::chrono::minutes(2));
  EXPECT_TRUE(cache_.AbandonPod("p"));
  EXPECT_EQ(Committed(cache_, "n"), kNothing);
  cache_.AddPod("p", "n", Given("n", 0, 600, 50));
  EXPECT_FALSE(cache_.AbandonPod("p")) << "the watch has seen it bound";
}

TEST_F(CacheTest, WhatWasBoundAndDeletedWhileNobodyWatchedIsFoundMissingByTheNextList) {
  AddNode(cache_, "n", 5);
  const auto assume = [&](const std::string& uid) {
    ASSERT_TRUE(cache_.AssumePod(uid, "n", Ask(600, 50)));
  };
  for (const char* uid : {"gone", "unknown", "listed", "under way"}) assume(uid);
  cache_.KeepPod("gone", Cache::Write::kArrived);
  cache_.KeepPod("unknown", Cache::Write::kUnknown);
  cache_.KeepPod("listed", Cache::Write::kUnknown);
  EXPECT_FALSE(cache_.WantsList()) << "the watch may yet tell";
  clock_.Advance(std::chrono::minutes(2));
  EXPECT_TRUE(cache_.WantsList());
  cache_.BeginList();
  cache_.ForgetPod("under way");
  assume("during");
  cache_.KeepPod("during", Cache::Write::kArrived);
  assume("under way");
  cache_.EndList({"listed"});
  EXPECT_FALSE(cache_.NodeOf("gone"));
  EXPECT_FALSE(cache_.NodeOf("unknown"));
  EXPECT_TRUE(cache_.NodeOf("listed")) << "unbound so far";
  EXPECT_TRUE(cache_.NodeOf("during")) << "bound after the list was made, perhaps";
  EXPECT_TRUE(cache_.NodeOf("under way"));
}

TEST_F(CacheTest, ExclusivePodsKeepOthersOut) {
  AddNode(cache_, "n", 1);
  auto alone = Ask(10, 10);
  alone.isolation = binpack::Isolation::kExclusive;
  ASSERT_TRUE(cache_.AssumePod("p", "n", alone));
  EXPECT_FALSE(cache_.AssumePod("q", "n", Ask(10, 10)));
  cache_.ForgetPod("p");
  ASSERT_TRUE(cache_.AssumePod("q", "n", Ask(10, 10)));
  EXPECT_FALSE(cache_.AssumePod("p", "n", alone));
}

TEST_F(CacheTest, TheFirstPodFixesTheModeOfAGpuAndTheLastFreesIt) {
  AddMpsNode(cache_, "n", 1);
  ASSERT_TRUE(cache_.AssumePod("p", "n", AskMps(10, 10)));
  ASSERT_TRUE(cache_.AssumePod("q", "n", AskMps(10, 10)));
  EXPECT_FALSE(cache_.AssumePod("shared", "n", Ask(10, 10)));
  cache_.RemovePod("p");
  EXPECT_FALSE(cache_.AssumePod("shared", "n", Ask(10, 10)));
  cache_.RemovePod("q");
  ASSERT_TRUE(cache_.AssumePod("shared", "n", Ask(10, 10)));
  EXPECT_FALSE(cache_.AssumePod("p", "n", AskMps(10, 10)));
}

TEST_F(CacheTest, TheModeOfAGpuIsThatOfThePodsFoundAtTheStart) {
  auto given = Given("n", 0, 10, 10);
  given.isolation = binpack::Isolation::kMps;
  cache_.AddPod("p", "n", given);
  AddMpsNode(cache_, "n", 1);
  EXPECT_FALSE(cache_.AssumePod("shared", "n", Ask(10, 10)));
  EXPECT_TRUE(cache_.AssumePod("q", "n", AskMps(10, 10)));
  EXPECT_EQ(Committed(cache_, "n"), (binpack::Amount{20, 20, 2}));
}

TEST_F(CacheTest, AHoldFixesTheModeForFiltersAndABindOfTheOtherModeEndsItsClaim) {
  AddMpsNode(cache_, "n", 1);
  ASSERT_TRUE(cache_.Hold("p", {"n"}, AskMps(10, 10)));
  EXPECT_FALSE(cache_.Hold("shared", {"n"}, Ask(10, 10))) << "held by a client of MPS";
  ASSERT_TRUE(cache_.AssumePod("shared", "n", Ask(10, 10))) << "in bind holds are soft";
  EXPECT_FALSE(cache_.AssumePod("p", "n", AskMps(10, 10))) << "though memory and cores are there";
}

TEST_F(CacheTest, AGpuThatStopsOfferingMpsKeepsItsClientsAndTakesNoMore) {
  AddMpsNode(cache_, "n", 1);
  ASSERT_TRUE(cache_.AssumePod("p", "n", AskMps(10, 10)));
  AddNode(cache_, "n", 1);
  EXPECT_FALSE(cache_.AssumePod("q", "n", AskMps(10, 10)));
  EXPECT_FALSE(cache_.AssumePod("shared", "n", Ask(10, 10)));
}

TEST_F(CacheTest, AHoldOnAGpuThatStopsOfferingMpsIsNotBoundThere) {
  AddMpsNode(cache_, "n", 1);
  ASSERT_TRUE(cache_.Hold("p", {"n"}, AskMps(10, 10)));
  AddNode(cache_, "n", 1);
  EXPECT_FALSE(cache_.AssumePod("p", "n", AskMps(10, 10))) << "its daemon has a fault";
}

/// Filters hold, binds begin, arrive or fail, pods end, in any order.
TEST_F(CacheTest, NoGpuIsEverBoundInTwoModes) {
  using binpack::Isolation;
  std::mt19937 random(1);
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  AddMpsNode(cache_, "n", 2);
  int joined = 0;
  for (int step = 0; step < 5000; ++step) {
    // The same pod asks for the same each time, so that a bind finds its hold.
    const int who = below(12);
    const std::string uid = "p" + std::to_string(who);
    auto request = Ask(10, 1 + who % 4);
    const int mode = who % 5;
    request.isolation = mode == 0   ? Isolation::kExclusive
                        : mode <= 2 ? Isolation::kMps
                                    : Isolation::kShared;
    clock_.Advance(std::chrono::seconds(below(2)));
    switch (below(5)) {
      case 0:
        (void)cache_.Hold(uid, {"n"}, request);
        break;
      case 1:
      case 2:
        if (const auto assigned = cache_.AssumePod(uid, "n", request); assigned && below(4) > 0) {
          cache_.AddPod(uid, "n", *assigned);
        } else if (assigned) {
          cache_.ForgetPod(uid);
        }
        break;
      default:
        cache_.RemovePod(uid);
    }
    for (const auto& info : cache_.UpdateSnapshot()->Find("n")->committed.devices) {
      const bool mixed = info.mps_tenants != 0 && info.mps_tenants != info.tenants;
      ASSERT_FALSE(mixed || (info.exclusive_tenants > 0 && info.tenants > 1))
          << info.device.uuid << " after step " << step;
      joined += info.mps_tenants > 1 ? 1 : 0;
    }
  }
  EXPECT_GT(joined, 500) << "pods of MPS must meet here";
}

/// CPU that counts as used on the node, for commits and for filters.
std::int64_t CpuCommitted(Cache& cache) {
  return cache.UpdateSnapshot()->Find("n")->committed.cpu_used_milli;
}
std::int64_t CpuHeld(Cache& cache) {
  return cache.UpdateSnapshot()->Find("n")->held.cpu_used_milli;
}
binpack::PodRequest AskWithCpu(std::int64_t cpu_milli) {
  auto request = Ask(600, 50);
  request.cpu_milli = cpu_milli;
  return request;
}

TEST_F(CacheTest, CpuOfAPodIsCountedOnceFromItsHoldToItsEnd) {
  cache_.SetNode("n", Result<contract::Inventory>(Gpus("n", 2)), 8000);
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->held.cpu_milli, 8000);
  cache_.Hold("p", {"n"}, AskWithCpu(3000));
  EXPECT_EQ(CpuHeld(cache_), 3000);
  EXPECT_EQ(CpuCommitted(cache_), 0);
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n")->HeldByOthers("p").cpu_used_milli, 0);
  ASSERT_TRUE(cache_.AssumePod("p", "n", AskWithCpu(3000)));
  ASSERT_TRUE(cache_.AssumePod("p", "n", AskWithCpu(3000)));
  EXPECT_EQ(CpuHeld(cache_), 3000);
  EXPECT_EQ(CpuCommitted(cache_), 3000);
  cache_.AddPod("p", "n", Given("n", 0, 600, 50), 3000);
  cache_.AddPod("p", "n", Given("n", 0, 600, 50), 3000);
  EXPECT_EQ(CpuCommitted(cache_), 3000);
  cache_.AddPod("p", "n", Given("n", 0, 600, 50), 2000);
  EXPECT_EQ(CpuCommitted(cache_), 2000) << "resized in place";
  cache_.RemovePod("p");
  cache_.RemovePod("p");
  EXPECT_EQ(CpuCommitted(cache_), 0);
  EXPECT_EQ(CpuHeld(cache_), 0);
}

TEST_F(CacheTest, CpuOfAForgottenPodIsFreeAgain) {
  AddNode(cache_, "n", 1);
  ASSERT_TRUE(cache_.AssumePod("p", "n", AskWithCpu(3000)));
  cache_.ForgetPod("p");
  EXPECT_EQ(CpuCommitted(cache_), 0);
}

TEST_F(CacheTest, CpuNeverKeepsAPodFromItsGpus) {
  cache_.SetNode("n", Result<contract::Inventory>(Gpus("n", 1)), 1000);
  cache_.SetOtherCpu("n", 5000);
  EXPECT_EQ(cache_.Hold("p", {"n"}, AskWithCpu(binpack::kMaxCpuMilli)), "n");
  EXPECT_TRUE(cache_.AssumePod("p", "n", AskWithCpu(binpack::kMaxCpuMilli)));
  EXPECT_FALSE(cache_.UpdateSnapshot()->Find("n")->over_committed);
}

TEST_F(CacheTest, CpuOfOtherPodsIsKnownBeforeTheNodeAndOutlivesIt) {
  cache_.SetOtherCpu("n", 1500);
  EXPECT_EQ(cache_.UpdateSnapshot()->Find("n"), nullptr);
  AddNode(cache_, "n", 1);
  EXPECT_EQ(CpuCommitted(cache_), 1500);
  ASSERT_TRUE(cache_.AssumePod("p", "n", AskWithCpu(3000)));
  EXPECT_EQ(CpuCommitted(cache_), 4500);
  cache_.SetNode("n", Result<contract::Inventory>(Gpus("n", 2)), 8000);
  EXPECT_EQ(CpuCommitted(cache_), 4500) << "hardware told anew";
  cache_.SetOtherCpu("n", 500);
  EXPECT_EQ(CpuCommitted(cache_), 3500);
  EXPECT_EQ(CpuHeld(cache_), 3500);
  cache_.RemoveNode("n");
  AddNode(cache_, "n", 1);
  EXPECT_EQ(CpuCommitted(cache_), 3500);
  cache_.RemoveNode("n");
  cache_.SetOtherCpu("n", 0);
  cache_.RemovePod("p");
  AddNode(cache_, "n", 1);
  EXPECT_EQ(CpuCommitted(cache_), 0);
}

TEST_F(CacheTest, OnlyNewsMakeASnapshot) {
  const auto tell = [&](std::int64_t cpu_milli) {
    cache_.SetNode("n", Result<contract::Inventory>(Gpus("n", 1)), cpu_milli);
    cache_.SetNode("plain", std::nullopt, 4000);
    cache_.SetOtherCpu("n", 700);
  };
  tell(8000);
  const auto first = cache_.UpdateSnapshot();
  tell(8000);
  EXPECT_EQ(cache_.UpdateSnapshot(), first) << "a kubelet's report without news";
  cache_.SetOtherCpu("plain", 300);
  EXPECT_EQ(cache_.UpdateSnapshot(), first) << "nothing is placed on a node without GPUs";
  tell(7000);
  const auto second = cache_.UpdateSnapshot();
  EXPECT_NE(second, first);
  EXPECT_EQ(second->Find("n")->committed.cpu_milli, 7000);
  EXPECT_EQ(second->Find("n")->committed.cpu_used_milli, 700);
  EXPECT_EQ(second->Find("plain"), first->Find("plain"));
}

}  // namespace
}  // namespace tessera::extender
