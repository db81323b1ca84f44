#include "binpack/selector.h"

#include <gtest/gtest.h>

namespace tessera::binpack {
namespace {

TEST(MatchesModel, WholeWordsAreNotPrefixesAndSubstringsAre) {
  struct Case {
    const char* pattern;
    bool whole_words;
    const char* model;
    bool want;
  };
  const Case cases[] = {
      {"A100", true, "NVIDIA A100-SXM4-40GB", true},
      {"a100", true, "NVIDIA A100-SXM4-40GB", true},
      {"A10", true, "NVIDIA A100-SXM4-40GB", false},
      {"A10", true, "NVIDIA A10", true},
      {"A10", false, "NVIDIA A100-SXM4-40GB", true},
      {"a10", false, "NVIDIA A100-SXM4-40GB", true},
      {"A100-SXM4", true, "NVIDIA A100-SXM4-40GB", true},
      {"A100 SXM4", true, "NVIDIA A100-SXM4-40GB", true},
      {"A100 40GB", true, "NVIDIA A100-SXM4-40GB", false},
      {"NVIDIA A100-SXM4-40GB", true, "NVIDIA A100-SXM4-40GB", true},
      {"A100-SXM4", false, "NVIDIA A100-SXM4-40GB", true},
      {"A100 SXM4", false, "NVIDIA A100-SXM4-40GB", false},
      {"H100", true, "", false},
      {"-", true, "NVIDIA A10", false},
      {"", true, "NVIDIA A10", false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.pattern) + " in " + c.model);
    EXPECT_EQ(MatchesModel({c.pattern, c.whole_words}, c.model), c.want);
  }
}

TEST(Accepts, AnyListsAdmitAndNoneListsRefuse) {
  const GpuDevice gpu{.uuid = "GPU-1", .model = "NVIDIA A100-SXM4-40GB"};
  EXPECT_TRUE(Accepts({}, gpu));
  EXPECT_TRUE(Accepts({.models_any = {{"T4"}, {"A100"}}}, gpu));
  EXPECT_FALSE(Accepts({.models_any = {{"T4"}}}, gpu));
  EXPECT_FALSE(Accepts({.models_none = {{"T4"}, {"A100"}}}, gpu));
  EXPECT_TRUE(Accepts({.models_none = {{"A10"}}}, gpu));
  EXPECT_FALSE(Accepts({.models_any = {{"A100"}}, .models_none = {{"40GB"}}}, gpu));
  EXPECT_TRUE(Accepts({.uuids_any = {"GPU-1"}}, gpu));
  EXPECT_FALSE(Accepts({.uuids_any = {"GPU-10"}}, gpu));
  EXPECT_FALSE(Accepts({.uuids_none = {"GPU-1"}}, gpu));
  EXPECT_FALSE(Accepts({.models_any = {{"T4"}}, .uuids_any = {"GPU-1"}}, gpu)) << "both must hold";
}

}  // namespace
}  // namespace tessera::binpack
