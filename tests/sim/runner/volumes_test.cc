#include "sim/runner/volumes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "tests/sim/temp_folder.h"

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string PodText(const std::string& limits, const std::string& volumes) {
  return R"({"metadata":{"uid":"u1","name":"p","annotations":{"tessera.dev/c0-limits":")" + limits +
         R"("},"labels":{"b":"2\n\"","a":"1"}},"spec":{"volumes":)" + volumes + "}}";
}

constexpr const char* kLimitsVolume = R"({"name":"tessera-limits-c0","downwardAPI":{"items":[
  {"path":"limits","fieldRef":{"fieldPath":"metadata.annotations['tessera.dev/c0-limits']"}}]}})";

class VolumesTest : public testing::Test {
 protected:
  fs::path Volume(const std::string& kind, const std::string& name) const {
    return folder_.path() / "u1/volumes" / ("kubernetes.io~" + kind) / name;
  }
  TempFolder folder_;
  const VolumeLayout layout_{folder_.path(), {{"lib:1", "/images/lib"}}};
};

TEST_F(VolumesTest, PutsEachVolumeWhereAKubeletPutsIt) {
  const auto pod = json::Parse(PodText("v1", std::string("[") + kLimitsVolume + R"(,
    {"name":"scratch","emptyDir":{"medium":"Memory"}}, {"name":"lib","image":{"reference":"lib:1"}},
    {"name":"host","hostPath":{"path":"/opt/x"}}])"))
                       .value();
  EXPECT_THAT(
      MaterialiseVolumes(pod, layout_).value(),
      ElementsAre(Pair("host", "/opt/x"), Pair("lib", "/images/lib"),
                  Pair("scratch", Volume("empty-dir", "scratch").string()),
                  Pair("tessera-limits-c0", Volume("downward-api", "tessera-limits-c0").string())));
  EXPECT_TRUE(fs::is_directory(Volume("empty-dir", "scratch")));
  EXPECT_EQ(ReadFile(Volume("downward-api", "tessera-limits-c0") / "limits"), "v1");
}

TEST_F(VolumesTest, AnEmptyDirKeepsItsFilesWhenMadeTwice) {
  const auto pod = json::Parse(PodText("", R"([{"name":"scratch","emptyDir":{}}])")).value();
  ASSERT_TRUE(MaterialiseVolumes(pod, layout_));
  std::ofstream(Volume("empty-dir", "scratch") / "kept") << "x";
  ASSERT_TRUE(MaterialiseVolumes(pod, layout_));
  EXPECT_EQ(ReadFile(Volume("empty-dir", "scratch") / "kept"), "x");
}

TEST_F(VolumesTest, DownwardFilesFollowTheAnnotation) {
  const std::string volumes = std::string("[") + kLimitsVolume + "]";
  const fs::path folder = Volume("downward-api", "tessera-limits-c0");
  ASSERT_TRUE(MaterialiseVolumes(json::Parse(PodText("old", volumes)).value(), layout_));
  const fs::path first = fs::read_symlink(folder / "..data");
  ASSERT_TRUE(RefreshDownwardVolumes(json::Parse(PodText("old", volumes)).value(), layout_));
  EXPECT_EQ(fs::read_symlink(folder / "..data"), first) << "nothing changed, nothing is written";
  ASSERT_TRUE(RefreshDownwardVolumes(json::Parse(PodText("new", volumes)).value(), layout_));
  EXPECT_EQ(ReadFile(folder / "limits"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "limits"));
  EXPECT_FALSE(fs::exists(folder / first)) << "the old files are removed";
}

TEST_F(VolumesTest, RefusesWhatItCannotPlayByName) {
  struct Case {
    const char* volumes;
    const char* want;
  };
  for (
      const Case& c : {
          Case{R"([{"name":"s","secret":{"secretName":"x"}}])", "volume s: only emptyDir"},
          Case{R"([{"name":"i","image":{"reference":"unknown:2"}}])", "volume i: image unknown:2"},
          Case{R"([{"name":"../x","emptyDir":{}}])", "is not a name"},
          Case{R"([{"name":"","emptyDir":{}}])", "is not a name"},
          Case{R"([{"emptyDir":{}}])", "name is missing"},
          Case{
              R"([{"name":"d","downwardAPI":{"items":[{"path":"../../x","fieldRef":{"fieldPath":"metadata.name"}}]}}])",
              "leaves the volume"},
          Case{
              R"([{"name":"d","downwardAPI":{"items":[{"path":"/x","fieldRef":{"fieldPath":"metadata.name"}}]}}])",
              "leaves the volume"},
          Case{R"([{"name":"d","downwardAPI":{"items":[{"path":"x"}]}}])", "fieldRef is missing"},
      }) {
    SCOPED_TRACE(c.volumes);
    const auto paths = MaterialiseVolumes(json::Parse(PodText("", c.volumes)).value(), layout_);
    ASSERT_FALSE(paths);
    EXPECT_THAT(paths.error().message, HasSubstr(c.want));
  }
}

TEST(DownwardFiles, WholeMapsAreSortedAndQuoted) {
  const auto pod = json::Parse(PodText("v", "[]")).value();
  const auto volume =
      json::Parse(R"({"items":[{"path":"l","fieldRef":{"fieldPath":"metadata.labels"}}]})").value();
  EXPECT_THAT(DownwardFiles(pod, volume).value(),
              ElementsAre(Pair("l", "a=\"1\"\nb=\"2\\n\\\"\"")));
}

}  // namespace
}  // namespace tessera::sim
