#include "common/contract/assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::contract {
namespace {

using binpack::ComputePolicy;
using binpack::ContainerKind;
using binpack::Isolation;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

Assignment Example() {
  return {.node = "n1",
          .compute_policy = ComputePolicy::kBurstShare,
          .isolation = Isolation::kShared,
          .placement = {{{ContainerKind::kSidecar, 2, {{"GPU-a", 100, 0}}},
                         {ContainerKind::kApp, 0, {{"GPU-a", 3000, 50}, {"GPU-b", 3000, 50}}}}}};
}

TEST(Assignment, WritesTheDocumentedText) {
  EXPECT_EQ(
      EncodeAssignment(Example()),
      R"({"version":1,"node":"n1","computePolicy":"burst-share","isolation":"shared","containers":[)"
      R"({"slot":"i2","kind":"sidecar","gpus":[{"uuid":"GPU-a","memoryMiB":100,"cores":0}]},)"
      R"({"slot":"c0","kind":"app","gpus":[{"uuid":"GPU-a","memoryMiB":3000,"cores":50},)"
      R"({"uuid":"GPU-b","memoryMiB":3000,"cores":50}]}]})");
}

TEST(Assignment, ReadsBackWhatItWrote) {
  for (const auto policy :
       {ComputePolicy::kFixedShare, ComputePolicy::kBurstShare, ComputePolicy::kBestEffort}) {
    for (const auto isolation : {Isolation::kShared, Isolation::kExclusive, Isolation::kMps}) {
      for (const auto kind : {ContainerKind::kApp, ContainerKind::kInit, ContainerKind::kSidecar}) {
        auto assignment = Example();
        assignment.compute_policy = policy;
        assignment.isolation = isolation;
        assignment.placement.containers.push_back({kind, 7, {{"GPU-c", 1, 100}}});
        const auto read = DecodeAssignment(EncodeAssignment(assignment));
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(*read, assignment);
      }
    }
  }
}

TEST(Assignment, BindingCarriesRecordDevicesAndLimitsOfEachContainer) {
  EXPECT_THAT(BindingAnnotations(Example()),
              UnorderedElementsAre(
                  Pair("tessera.dev/assignment", EncodeAssignment(Example())),
                  Pair("tessera.dev/i2-devices", "GPU-a"),
                  Pair("tessera.dev/i2-limits", "v1 best-effort GPU-a:100:0"),
                  Pair("tessera.dev/c0-devices", "GPU-a,GPU-b"),
                  Pair("tessera.dev/c0-limits", "v1 burst-share GPU-a:3000:50 GPU-b:3000:50")));
}

TEST(Assignment, WithMpsTheBindingCarriesWhatAClientMayTakeAndTheLibraryHasNoCores) {
  Assignment assignment = Example();
  assignment.compute_policy = ComputePolicy::kFixedShare;
  assignment.isolation = Isolation::kMps;
  assignment.placement = {{{ContainerKind::kApp, 1, {{"GPU-a", 3000, 50}}}}};
  EXPECT_THAT(BindingAnnotations(assignment),
              UnorderedElementsAre(Pair("tessera.dev/assignment", EncodeAssignment(assignment)),
                                   Pair("tessera.dev/c1-devices", "GPU-a"),
                                   Pair("tessera.dev/c1-limits", "v1 fixed-share GPU-a:3000:0"),
                                   Pair("tessera.dev/c1-mps-threads", "50"),
                                   Pair("tessera.dev/c1-mps-memory", "0=3000M")));
  EXPECT_THAT(EncodeAssignment(assignment), HasSubstr(R"("isolation":"mps")"));
  EXPECT_THAT(EncodeAssignment(assignment), HasSubstr(R"("cores":50)")) << "the record has them";
}

TEST(Assignment, HostMemoryIsWrittenWhereThereIsSome) {
  Assignment assignment = Example();
  assignment.placement.containers[1].devices[1].host_memory_mib = 4096;
  const auto annotations = BindingAnnotations(assignment);
  EXPECT_THAT(annotations.at("tessera.dev/assignment"),
              HasSubstr(R"("gpus":[{"uuid":"GPU-a","memoryMiB":3000,"cores":50},)"
                        R"({"uuid":"GPU-b","memoryMiB":3000,"cores":50,"hostMemoryMiB":4096}]})"));
  EXPECT_EQ(annotations.at("tessera.dev/c0-limits"),
            "v1 burst-share GPU-a:3000:50 GPU-b:3000:50:4096");
  EXPECT_EQ(annotations.at("tessera.dev/i2-limits"), "v1 best-effort GPU-a:100:0");
  const auto read = DecodeAssignment(annotations.at("tessera.dev/assignment"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, assignment);
}

TEST(Assignment, ErrorsNameTheField) {
  const auto with = [](const std::string& containers) {
    return R"({"version":1,"node":"n","computePolicy":"fixed-share","isolation":"shared","containers":)" +
           containers + "}";
  };
  const std::string gpu = R"({"uuid":"G","memoryMiB":1,"cores":0})";
  const std::string good = R"({"slot":"c0","kind":"app","gpus":[)" + gpu + "]}";
  ASSERT_TRUE(DecodeAssignment(with("[" + good + "]")));
  struct Case {
    std::string text;
    std::string want;
  };
  const Case cases[] = {
      {"{", "not JSON"},
      {"7", "version is missing"},
      {R"({"version":9})", "version 9 is not known"},
      {R"({"version":1})", "node is missing"},
      {R"({"version":1,"node":""})", "node must not be empty"},
      {R"({"version":1,"node":"n","computePolicy":"fast"})", "computePolicy must be"},
      {R"({"version":1,"node":"n","computePolicy":"fixed-share","isolation":"mig"})",
       "isolation must be"},
      {with("{}"), "containers must be an array"},
      {with("[]"), "containers must have"},
      {with("[1]"), "containers[0] must be an object"},
      {with(R"([{"kind":"pod"}])"), "containers[0].kind must be"},
      {with(R"([{"kind":"app","slot":"i0"}])"), "containers[0].slot must be"},
      {with(R"([{"kind":"app","slot":"c"}])"), "containers[0].slot must be"},
      {with(R"([{"kind":"app","slot":"c01"}])"), "containers[0].slot must be"},
      {with(R"([{"kind":"app","slot":"c99999999999"}])"), "containers[0].slot must be"},
      {with(R"([{"kind":"app","slot":"c0","gpus":[]}])"), "containers[0].gpus must have"},
      {with(R"([{"kind":"app","slot":"c0","gpus":[{"uuid":"G","memoryMiB":0}]}])"),
       "containers[0].gpus[0].memoryMiB must be"},
      {with(R"([{"kind":"app","slot":"c0","gpus":[{"uuid":"G","memoryMiB":1,"cores":101}]}])"),
       "containers[0].gpus[0].cores must be"},
      {with(
           R"([{"kind":"app","slot":"c0","gpus":[{"uuid":"G","memoryMiB":1,"cores":1,"hostMemoryMiB":0}]}])"),
       "containers[0].gpus[0].hostMemoryMiB must be"},
      {with(
           R"([{"kind":"app","slot":"c0","gpus":[{"uuid":"G","memoryMiB":1,"cores":1,"hostMemoryMiB":"x"}]}])"),
       "containers[0].gpus[0].hostMemoryMiB"},
      {with(R"([{"kind":"app","slot":"c0","gpus":[)" + gpu + "," + gpu + "]}]"),
       "containers[0].gpus[1].uuid G stands twice"},
      {with("[" + good + "," + good + "]"), "containers[1].slot stands twice"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto got = DecodeAssignment(c.text);
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message, HasSubstr(c.want));
  }
}

}  // namespace
}  // namespace tessera::contract
