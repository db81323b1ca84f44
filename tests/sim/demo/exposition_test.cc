#include "sim/demo/exposition.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

constexpr const char* kPage = R"(# HELP a_total help
# TYPE a_total counter
a_total 3
b_bytes{pod="p",container="c"} 4294967296
b_bytes{pod="q",container="c"} 1e3 1700000000
c_ratio{text="a \"quoted\" {brace} \\ and\nnewline",x="1"} 0.25
broken{pod="p" 3
broken{pod=p} 3
nothing
)";

TEST(Exposition, ReadsNamesLabelsAndValues) {
  const auto samples = ParseExposition(kPage);
  ASSERT_EQ(samples.size(), 4u);
  EXPECT_EQ(FindSample(samples, "a_total"), 3);
  EXPECT_EQ(FindSample(samples, "b_bytes", {{"pod", "p"}}), 4294967296.0);
  EXPECT_EQ(FindSample(samples, "b_bytes", {{"pod", "q"}, {"container", "c"}}), 1000);
  EXPECT_EQ(FindSample(samples, "c_ratio", {{"text", "a \"quoted\" {brace} \\ and\nnewline"}}),
            0.25);
}

TEST(Exposition, WhatIsNotThereIsNotFound) {
  const auto samples = ParseExposition(kPage);
  EXPECT_EQ(FindSample(samples, "missing"), std::nullopt);
  EXPECT_EQ(FindSample(samples, "b_bytes", {{"pod", "r"}}), std::nullopt);
  EXPECT_EQ(FindSample(samples, "b_bytes", {{"node", "p"}}), std::nullopt);
  EXPECT_TRUE(ParseExposition("").empty());
}

}  // namespace
}  // namespace tessera::sim
