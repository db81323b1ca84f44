#include "sim/demo/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/demo/examples.h"
#include "sim/demo/probe_report.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

TEST(FormatTable, ColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(FormatTable({{"a", "bb"}, {"long", "c"}, {"é"}}),
            "  a     bb\n"
            "  ----  --\n"
            "  long  c\n"
            "  é\n");
}

TEST(CheckList, IsOkOnlyIfSomethingWasCheckedAndAllHeld) {
  CheckList checks;
  EXPECT_FALSE(checks.all_ok());
  checks.Add("first", true);
  EXPECT_TRUE(checks.all_ok());
  checks.Add("second", false, "why");
  checks.Add("third", true);
  EXPECT_FALSE(checks.all_ok());
  EXPECT_EQ(checks.Text(), "  ok      first\n  FAILED  second: why\n  ok      third\n");
}

TEST(BytesText, SaysBytesWhereMibWouldRound) {
  EXPECT_EQ(BytesText(3000ULL << 20), "3000 MiB");
  EXPECT_EQ(BytesText((3000ULL << 20) + 1), "3145728001 B");
}

TEST(FindProbeLine, TakesWholeLinesOnly) {
  EXPECT_EQ(FindProbeLine("noise\n{\"probe\":1}\nmore\n"), "{\"probe\":1}");
  EXPECT_EQ(FindProbeLine("{\"probe\":1,\"ok\":tr"), std::nullopt);
  EXPECT_EQ(FindProbeLine("noise\n"), std::nullopt);
  EXPECT_EQ(FindProbeLine(""), std::nullopt);
}

TEST(ParseProbeReport, ReadsWhatTheProbePrints) {
  const auto report = ParseProbeReport(
      R"({"probe":1,"ok":false,"problems":["GPU 0: x"],"devices":[{"ordinal":0,"uuid":"GPU-a","name":"A10",
        "totalBytes":10,"freeBeforeBytes":9,"heldBytes":8,"freeAfterBytes":1,"blocks":2,"refusedWith":"E","exact":true,
        "reallocated":false,"kernels":4,"kernelUs":1000,"spinWallUs":8000}]})");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->ok);
  EXPECT_EQ(report->problems.front(), "GPU 0: x");
  EXPECT_EQ(report->gpus.front().held_bytes, 8u);
  EXPECT_EQ(report->gpus.front().spin_wall_us, 8000u);
  const auto broken = ParseProbeReport(R"({"ok":true,"problems":[],"devices":[{"uuid":"GPU-a"}]})");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("devices[0]: name is missing"));
}

TEST(ParseExamples, ReadsPodsAndTheirExpectation) {
  const auto examples = ParseExamples(
      "x.yaml",
      "kind: Pod\nmetadata: {name: a}\n---\n"
      "kind: Pod\nmetadata: {name: b, namespace: t, labels: {tessera-demo/expect: pending}}\n");
  ASSERT_TRUE(examples) << examples.error().message;
  EXPECT_EQ((*examples)[0].key, "default/a");
  EXPECT_EQ((*examples)[0].path, "/api/v1/namespaces/default/pods/a");
  EXPECT_FALSE((*examples)[0].must_stay_pending);
  EXPECT_EQ((*examples)[1].key, "t/b");
  EXPECT_TRUE((*examples)[1].must_stay_pending);
}

TEST(ParseExamples, ErrorsNameTheFile) {
  for (const char* yaml :
       {"kind: Deployment\nmetadata: {name: a}\n", "kind: Pod\n", "[", "- 1\n"}) {
    const auto examples = ParseExamples("x.yaml", yaml);
    ASSERT_FALSE(examples) << yaml;
    EXPECT_THAT(examples.error().message, HasSubstr("x.yaml: "));
  }
}

/// The files that users read are what the demo needs.
TEST(ReadExamples, TheShippedOnesAreReadable) {
  const auto examples = ReadExamples(std::string(TESSERA_SOURCE_DIR) + "/manifests/examples");
  ASSERT_TRUE(examples) << examples.error().message;
  EXPECT_GE(examples->size(), 8u);
  EXPECT_FALSE(ReadExamples("/no/such/folder"));
}

}  // namespace
}  // namespace tessera::sim
