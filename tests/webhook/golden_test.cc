#include "tests/webhook/golden.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::webhook {
namespace {

bool Updating() {
  const char* update = std::getenv("UPDATE_GOLDEN");
  return update != nullptr && std::string_view(update) == "1";
}

TEST(Golden, EveryCaseIsAnsweredAsWritten) {
  const auto cases = LoadGoldenCases();
  ASSERT_GE(cases.size(), 40U);
  for (const GoldenCase& golden : cases) {
    SCOPED_TRACE(golden.name);
    const std::string got = DescribeDecision(Admit(ParseReview(golden.review), golden.options));
    if (Updating()) std::ofstream(golden.answer_file, std::ios::binary) << got;
    EXPECT_EQ(got, ReadText(golden.answer_file));
  }
}

TEST(Golden, NamesSayWhatIsRefused) {
  for (const GoldenCase& golden : LoadGoldenCases()) {
    SCOPED_TRACE(golden.name);
    const Decision decision = Admit(ParseReview(golden.review), golden.options);
    const bool expected =
        golden.name.starts_with("refuse_") || golden.name.starts_with("malformed_");
    EXPECT_EQ(!decision.allowed, expected) << decision.message;
  }
}

TEST(Golden, ApplyingThePatchTwiceChangesNothing) {
  int patched = 0;
  for (const GoldenCase& golden : LoadGoldenCases()) {
    SCOPED_TRACE(golden.name);
    const Decision first = Admit(ParseReview(golden.review), golden.options);
    if (first.patch.empty()) continue;
    ++patched;
    const std::string after = PatchReview(golden.review, first.patch);
    const Decision second = Admit(ParseReview(after), golden.options);
    EXPECT_TRUE(second.allowed) << second.message;
    EXPECT_EQ(EncodePatch(second.patch), "[]");
  }
  EXPECT_GE(patched, 20);
}

TEST(Golden, NormalisingDoesNotChangeWhatIsAskedFor) {
  for (const GoldenCase& golden : LoadGoldenCases()) {
    SCOPED_TRACE(golden.name);
    const Review before = ParseReview(golden.review);
    const Decision decision = Admit(before, golden.options);
    if (decision.patch.empty()) continue;
    const Review after = ParseReview(PatchReview(golden.review, decision.patch));
    binpack::PodRequest expected = *before.request->asked;
    if (golden.options.delivery == Delivery::kInit) {
      for (auto& container : expected.containers) {
        if (container.kind != binpack::ContainerKind::kApp) ++container.index;
      }
      // The container that copies the library runs before all others, with 10 thousandths of CPU.
      expected.cpu_milli = std::max<std::int64_t>(expected.cpu_milli, 10);
    }
    EXPECT_EQ(*after.request->asked, expected);
  }
}

}  // namespace
}  // namespace tessera::webhook
