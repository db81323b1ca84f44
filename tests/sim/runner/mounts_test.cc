#include "sim/runner/mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

const std::vector<Mount> kMounts = {
    {"/usr/local/tessera", "/w/lib"}, {"/etc/tessera", "/w/limits"}, {"/data", "/w/data"}};

TEST(RewritePath, OnlyWholeComponentsMatch) {
  struct Case {
    const char* path;
    const char* want;
  };
  for (const Case& c : {
           Case{"/data", "/w/data"},
           Case{"/data/", "/w/data/"},
           Case{"/data/x/y", "/w/data/x/y"},
           Case{"/database", "/database"},
           Case{"/other/data", "/other/data"},
           Case{"data", "data"},
           Case{"", ""},
       }) {
    SCOPED_TRACE(c.path);
    EXPECT_EQ(RewritePath(c.path, kMounts), c.want);
  }
}

TEST(RewriteValue, ReachesEveryPieceOfAList) {
  struct Case {
    const char* text;
    const char* want;
  };
  for (const Case& c : {
           Case{"/usr/local/tessera/libtessera.so", "/w/lib/libtessera.so"},
           Case{"/a.so:/usr/local/tessera/libtessera.so", "/a.so:/w/lib/libtessera.so"},
           Case{"/usr/local/tessera/libtessera.so /a.so", "/w/lib/libtessera.so /a.so"},
           Case{"--file=/etc/tessera/limits", "--file=/w/limits/limits"},
           Case{"v1 fixed-share GPU-a:3000:50", "v1 fixed-share GPU-a:3000:50"},
           Case{"https://host/data", "https://host/data"},
           Case{":", ":"},
           Case{"", ""},
       }) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(RewriteValue(c.text, kMounts), c.want);
  }
}

TEST(ContainerMounts, TheLongestPathWins) {
  const auto container = json::Parse(R"({"volumeMounts": [
    {"name": "outer", "mountPath": "/data/"}, {"name": "inner", "mountPath": "/data/in", "subPath": "s"}]})")
                             .value();
  const auto mounts = ContainerMounts(container, {{"outer", "/o"}, {"inner", "/i"}}).value();
  EXPECT_EQ(RewritePath("/data/in/x", mounts), "/i/s/x");
  EXPECT_EQ(RewritePath("/data/x", mounts), "/o/x");
}

TEST(ContainerMounts, NamesWhatIsWrong) {
  struct Case {
    const char* container;
    const char* want;
  };
  for (const Case& c : {
           Case{R"({"volumeMounts":[{"name":"gone","mountPath":"/x"}]})",
                "\"gone\" is not in spec.volumes"},
           Case{R"({"volumeMounts":[{"name":"v"}]})", "mountPath is missing"},
           Case{R"({"volumeMounts":[{"name":"v","mountPath":"x"}]})", "must be absolute"},
           Case{R"({"volumeMounts":[{"name":"v","mountPath":"/x","subPath":"../../etc"}]})",
                "subPath"},
           Case{R"({"volumeMounts":7})", "volumeMounts must be an array"},
       }) {
    SCOPED_TRACE(c.container);
    const auto mounts = ContainerMounts(json::Parse(c.container).value(), {{"v", "/v"}});
    ASSERT_FALSE(mounts);
    EXPECT_THAT(mounts.error().message, HasSubstr(c.want));
  }
}

}  // namespace
}  // namespace tessera::sim
