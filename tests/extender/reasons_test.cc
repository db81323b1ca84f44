#include "extender/reasons.h"

#include <set>

#include <gtest/gtest.h>

namespace tessera::extender {
namespace {

using binpack::Shortage;

TEST(Reasons, AThousandNodesWithOneShortageShareOneText) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("n" + std::to_string(i));
  Reasons reasons;
  for (int i = 0; i < 1000; ++i) {
    reasons.Add(names[static_cast<std::size_t>(i)], {.shortages = {{.shortage = Shortage::kMemory,
                                                                    .requested = 3000,
                                                                    .used = 8000 - i,
                                                                    .capacity = 10000}},
                                                     .resolvable = true});
  }
  FilterResult result;
  reasons.Write(result);
  std::set<std::string> texts;
  for (const auto& node : result.failed) texts.insert(node.reason);
  EXPECT_EQ(
      texts,
      (std::set<std::string>{"insufficient GPU memory: 3000 MiB asked, at most 2999 MiB free"}));
  EXPECT_TRUE(result.failed_and_unresolvable.empty());
}

TEST(Reasons, NumbersOfFullNodesDoNotMixWithNumbersOfSmallOnes) {
  Reasons reasons;
  reasons.Add("full", {.shortages = {{.shortage = Shortage::kMemory,
                                      .requested = 3000,
                                      .used = 9000,
                                      .capacity = 10000}},
                       .resolvable = true});
  reasons.Add("small", {.shortages = {{.shortage = Shortage::kMemory,
                                       .requested = 3000,
                                       .used = 0,
                                       .capacity = 2500}},
                        .resolvable = false});
  FilterResult result;
  reasons.Write(result);
  EXPECT_EQ(result.failed[0].reason,
            "insufficient GPU memory: 3000 MiB asked, at most 1000 MiB free");
  EXPECT_EQ(result.failed_and_unresolvable[0].reason,
            "insufficient GPU memory: 3000 MiB asked, at most 2500 MiB on such a GPU");
}

TEST(Reasons, OverCommittedGpusHaveNothingFreeRatherThanLess) {
  Reasons reasons;
  reasons.Add(
      "n",
      {.shortages = {{.shortage = Shortage::kCores, .requested = 10, .used = 150, .capacity = 100}},
       .resolvable = true});
  FilterResult result;
  reasons.Write(result);
  EXPECT_EQ(result.failed[0].reason,
            "insufficient GPU cores: 10 percent asked, at most 0 percent free");
}

TEST(Reasons, CountsNodesByShortage) {
  Reasons reasons;
  reasons.Add("a", {.shortages = {{.shortage = Shortage::kMemory}}, .resolvable = true});
  reasons.Add("b", {.shortages = {{.shortage = Shortage::kMemory}, {.shortage = Shortage::kCores}},
                    .resolvable = false});
  reasons.Add("c", {.refusal = "closed for today", .resolvable = true});
  EXPECT_EQ(reasons.Counts(),
            (std::map<std::string_view, int>{{"memory", 2}, {"cores", 1}, {"closed", 1}}));
}

TEST(ShortageLabels, AreAllDifferent) {
  const auto labels = AllShortageLabels();
  EXPECT_EQ(std::set(labels.begin(), labels.end()).size(), labels.size());
  for (int i = 0; i <= static_cast<int>(Shortage::kTogether); ++i) {
    EXPECT_NE(ShortageLabel(static_cast<Shortage>(i)), "closed") << i;
  }
}

TEST(Reasons, OneLineTellsAllGroups) {
  Reasons reasons;
  const auto short_of = [](std::int64_t capacity) {
    return Verdict{
        .shortages = {
            {.shortage = Shortage::kMemory, .requested = 3000, .used = 0, .capacity = capacity}}};
  };
  reasons.Add("a", short_of(1000));
  reasons.Add("b", {.refusal = kRefusalNoInventory});
  reasons.Add("c", short_of(2000));
  EXPECT_EQ(reasons.Summary(),
            "2 insufficient GPU memory: 3000 MiB asked, at most 2000 MiB on such a GPU, 1 the node "
            "has no GPU inventory");
}

TEST(Reasons, EveryTextIsKnownAgainAndIsNoFormat) {
  EXPECT_FALSE(TellsReason("0/1 nodes are available: 1 Insufficient tessera.dev/gpu-memory."));
  EXPECT_FALSE(TellsReason(""));
  for (int kind = 0; kind <= static_cast<int>(Shortage::kTogether); ++kind) {
    for (const bool resolvable : {false, true}) {
      Reasons reasons;
      reasons.Add("n", {.shortages = {{.shortage = static_cast<Shortage>(kind),
                                       .requested = 90,
                                       .used = 5,
                                       .capacity = 80,
                                       .gpus_requested = 2}},
                        .resolvable = resolvable});
      const std::string text = reasons.Summary();
      SCOPED_TRACE(text);
      EXPECT_TRUE(TellsReason("0/1 nodes are available: " + text + ". preemption: none"));
      EXPECT_EQ(text.find('%'), std::string::npos) << "kube-scheduler formats its events anew";
    }
  }
  for (const auto refusal : {kRefusalUnknownAssignment, kRefusalBadInventory, kRefusalNoInventory})
    EXPECT_TRUE(TellsReason(refusal));
}

}  // namespace
}  // namespace tessera::extender
