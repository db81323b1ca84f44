#include "sim/runner/container_plan.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "tests/sim/temp_folder.h"

namespace tessera::sim {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

NodeSettings Node() {
  NodeSettings node;
  node.name = "n1";
  node.volumes.pods_dir = "/pods";
  node.entrypoints = {{"ghcr.io/tessera-dev/probe", "/bin/tessera-probe"}};
  node.bin_dir = "/bin-of-ours";
  node.driver_dir = "/driver";
  node.gpus_file = "/n1/gpus";
  node.state_dir = "/n1/state";
  return node;
}

Result<ProcessSpec> Plan(const std::string& container, const std::string& annotations = "{}",
                         const VolumePaths& volumes = {}) {
  const auto pod =
      json::Parse(R"({"metadata":{"name":"p","namespace":"d","uid":"u1","annotations":)" +
                  annotations + "}}")
          .value();
  return PlanContainer(pod, json::Parse(container).value(), volumes, Node());
}

TEST(ImageName, DropsTagAndDigest) {
  struct Case {
    const char* reference;
    const char* want;
  };
  for (const Case& c : {
           Case{"probe", "probe"},
           Case{"probe:1", "probe"},
           Case{"ghcr.io/tessera-dev/probe:0.1.0", "ghcr.io/tessera-dev/probe"},
           Case{"localhost:5000/probe", "localhost:5000/probe"},
           Case{"localhost:5000/probe:1@sha256:00", "localhost:5000/probe"},
       }) {
    EXPECT_EQ(ImageName(c.reference), c.want);
  }
}

TEST(PlanContainer, TheImageNamesTheProgram) {
  const auto spec =
      Plan(R"~({"name":"c","image":"ghcr.io/tessera-dev/probe:0.1.0","args":["--hold=$(N)"],
                             "env":[{"name":"N","value":"7"}]})~")
          .value();
  EXPECT_THAT(spec.argv, ElementsAre("/bin/tessera-probe", "--hold=7"));
  EXPECT_EQ(spec.output_file, "/pods/u1/c.log");
  EXPECT_EQ(spec.cwd, "/pods/u1");
}

TEST(PlanContainer, ACommandReplacesTheImagesProgram) {
  EXPECT_THAT(Plan(R"({"name":"c","image":"busybox","command":["sh","-c"],"args":["true"]})")->argv,
              ElementsAre("sh", "-c", "true"));
}

TEST(PlanContainer, AnUnknownImageIsNamed) {
  const auto spec = Plan(R"({"name":"c","image":"unknown:1"})");
  ASSERT_FALSE(spec);
  EXPECT_THAT(spec.error().message, HasSubstr("unknown:1"));
}

TEST(PlanContainer, TheEnvironmentIsThePodsAndNothingOfOurs) {
  setenv("OF_THE_TEST", "1", 1);
  const auto spec =
      Plan(R"({"name":"c","command":["x"],"env":[{"name":"A","value":"1"}]})").value();
  EXPECT_THAT(spec.env, ElementsAre("A=1", "LD_LIBRARY_PATH=/driver",
                                    "PATH=/bin-of-ours:/usr/local/bin:/usr/bin:/bin",
                                    "TESSERA_SIM_GPUS=/n1/gpus", "TESSERA_SIM_STATE=/n1/state",
                                    "TESSERA_SIM_VISIBLE=none"));
}

TEST(PlanContainer, OnlyTheGpusOfTheAssignmentAreVisible) {
  struct Case {
    const char* env;
    const char* want;
  };
  constexpr const char* kFromAnnotation =
      R"([{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"},{"name":"NVIDIA_VISIBLE_DEVICES",
          "valueFrom":{"fieldRef":{"fieldPath":"metadata.annotations['d']"}}}])";
  for (const Case& c : {
           Case{"[]", "TESSERA_SIM_VISIBLE=none"},
           Case{R"([{"name":"NVIDIA_VISIBLE_DEVICES","value":""}])", "TESSERA_SIM_VISIBLE=none"},
           Case{R"([{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"}])",
                "TESSERA_SIM_VISIBLE=none"},
           Case{R"([{"name":"NVIDIA_VISIBLE_DEVICES","value":"none"}])",
                "TESSERA_SIM_VISIBLE=none"},
           Case{R"([{"name":"TESSERA_SIM_VISIBLE","value":"all"}])", "TESSERA_SIM_VISIBLE=none"},
           Case{kFromAnnotation, "TESSERA_SIM_VISIBLE=GPU-a,GPU-b"},
       }) {
    SCOPED_TRACE(c.env);
    const auto spec = Plan(std::string(R"({"name":"c","command":["x"],"env":)") + c.env + "}",
                           R"({"d":"GPU-a,GPU-b"})");
    EXPECT_THAT(spec->env, Contains(c.want));
  }
}

TEST(PlanContainer, MissingAnnotationMeansNoGpu) {
  const auto spec = Plan(R"({"name":"c","command":["x"],"env":[{"name":"NVIDIA_VISIBLE_DEVICES",
      "valueFrom":{"fieldRef":{"fieldPath":"metadata.annotations['d']"}}}]})");
  EXPECT_THAT(spec->env, IsSupersetOf({"NVIDIA_VISIBLE_DEVICES=", "TESSERA_SIM_VISIBLE=none"}));
}

TEST(PlanContainer, PathsBelowMountsBecomePathsOfThisMachine) {
  const VolumePaths volumes = {{"lib", "/w/lib"}, {"limits", "/w/limits"}, {"region", "/w/region"}};
  const auto spec = Plan(R"({"name":"c","command":["cat","/etc/tessera/limits"],
    "env":[{"name":"LD_PRELOAD","value":"/usr/local/tessera/libtessera.so"}],
    "volumeMounts":[{"name":"lib","mountPath":"/usr/local/tessera"},{"name":"limits","mountPath":"/etc/tessera"},
                    {"name":"region","mountPath":"/run/tessera"}]})",
                         "{}", volumes)
                        .value();
  EXPECT_THAT(spec.argv, ElementsAre("cat", "/w/limits/limits"));
  EXPECT_THAT(spec.env, IsSupersetOf({"LD_PRELOAD=/w/lib/libtessera.so",
                                      "TESSERA_LIMITS_FILE=/w/limits/limits",
                                      "TESSERA_REGION_DIR=/w/region"}));
}

TEST(PlanContainer, FilesOfTheImageAreTakenFromItsFolder) {
  TempFolder image;
  std::ofstream(image.path() / "libtessera.so") << "x";
  NodeSettings node = Node();
  node.volumes.images = {{"library:1", image.path().string()}};
  const auto container = json::Parse(R"({"name":"install","image":"library:1",
    "command":["cp","/libtessera.so","/usr/local/tessera/libtessera.so","/missing"],
    "volumeMounts":[{"name":"lib","mountPath":"/usr/local/tessera"}]})")
                             .value();
  const auto pod = json::Parse(R"({"metadata":{"uid":"u1"}})").value();
  const auto spec = PlanContainer(pod, container, {{"lib", "/w/lib"}}, node).value();
  EXPECT_THAT(spec.argv, ElementsAre("cp", (image.path() / "libtessera.so").string(),
                                     "/w/lib/libtessera.so", "/missing"));
}

TEST(PlanContainer, WithoutTheLibrarysMountsNothingPointsAtThem) {
  const auto spec = Plan(R"({"name":"c","command":["x"]})").value();
  EXPECT_THAT(spec.env, Not(Contains(StartsWith("TESSERA_LIMITS"))));
  EXPECT_THAT(spec.env, Not(Contains(StartsWith("TESSERA_REGION"))));
}

}  // namespace
}  // namespace tessera::sim
