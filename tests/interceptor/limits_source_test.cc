#include "interceptor/limits_source.h"

#include <stdlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/contract/names.h"
#include "tests/interceptor/temp_dir.h"

namespace tessera {
namespace {

constexpr char kText[] = "v1 fixed-share GPU-a:100:50";
constexpr char kOther[] = "v1 fixed-share GPU-a:200:50";

/// On a machine where the real folders exist, the environment is not asked.
class LimitsSource : public testing::Test {
 protected:
  void SetUp() override {
    if (std::filesystem::exists(names::kLimitsDir) || std::filesystem::exists(names::kRegionDir)) {
      GTEST_SKIP() << "this machine has " << names::kLimitsDir << " or " << names::kRegionDir;
    }
    unsetenv(names::kEnvLimits);
    unsetenv(names::kEnvLimitsFile);
    unsetenv(names::kEnvRegionDir);
  }
  test::TempDir dir_;
  Limits limits_;
};

TEST_F(LimitsSource, NothingSetIsAReasonToRefuse) {
  EXPECT_THAT(LoadLimits(limits_), testing::HasSubstr("TESSERA_LIMITS"));
  EXPECT_EQ(FindRegionDirectory(), nullptr);
}

TEST_F(LimitsSource, ReadsTheEnvironment) {
  setenv(names::kEnvLimits, kText, 1);
  EXPECT_EQ(LoadLimits(limits_), nullptr);
  EXPECT_EQ(limits_.devices[0].limit_bytes, 100u << 20);
}

TEST_F(LimitsSource, TheFileDecidesOverTheEnvironment) {
  setenv(names::kEnvLimits, kText, 1);
  setenv(names::kEnvLimitsFile, dir_.Write("limits", kOther).c_str(), 1);
  EXPECT_EQ(LoadLimits(limits_), nullptr);
  EXPECT_EQ(limits_.devices[0].limit_bytes, 200u << 20);
}

TEST_F(LimitsSource, ABadFileIsNotMadeGoodByTheEnvironment) {
  setenv(names::kEnvLimits, kText, 1);
  struct Case {
    std::string path;
    const char* want;
  };
  const Case cases[] = {
      {dir_.File("absent"), "opened"},
      {dir_.path(), "read"},
      {dir_.Write("empty", ""), "empty"},
      {dir_.Write("malformed", "v1 fixed-share"), "device"},
      {dir_.Write("long", std::string(5000, ' ')), "long"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.path);
    setenv(names::kEnvLimitsFile, c.path.c_str(), 1);
    const char* problem = LoadLimits(limits_);
    ASSERT_NE(problem, nullptr);
    EXPECT_THAT(problem, testing::HasSubstr(c.want));
  }
}

TEST_F(LimitsSource, AnEmptyVariableNamesNoFile) {
  setenv(names::kEnvLimitsFile, "", 1);
  setenv(names::kEnvLimits, kText, 1);
  EXPECT_EQ(LoadLimits(limits_), nullptr);
  setenv(names::kEnvRegionDir, "", 1);
  EXPECT_EQ(FindRegionDirectory(), nullptr);
}

}  // namespace
}  // namespace tessera
