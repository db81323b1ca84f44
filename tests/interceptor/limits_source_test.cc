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
class LoadingLimits : public testing::Test {
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
  /// Puts a file in place as the kubelet does: whole, under another name first.
  std::string Replace(const std::string& text) {
    const std::string made = dir_.Write("next", text);
    std::filesystem::rename(made, dir_.File("limits"));
    return dir_.File("limits");
  }
  bool Reload() {
    problem_ = "not asked";
    return ReloadLimits(source_, limits_, problem_);
  }

  Limits limits_;
  LimitsSource source_;
  const char* problem_ = nullptr;
};

TEST_F(LoadingLimits, NothingSetIsAReasonToRefuse) {
  EXPECT_THAT(LoadLimits(limits_, source_), testing::HasSubstr("TESSERA_LIMITS"));
  EXPECT_EQ(FindRegionDirectory(), nullptr);
}

TEST_F(LoadingLimits, ReadsTheEnvironment) {
  setenv(names::kEnvLimits, kText, 1);
  EXPECT_EQ(LoadLimits(limits_, source_), nullptr);
  EXPECT_EQ(limits_.devices[0].limit_bytes, 100u << 20);
}

TEST_F(LoadingLimits, TheFileDecidesOverTheEnvironment) {
  setenv(names::kEnvLimits, kText, 1);
  setenv(names::kEnvLimitsFile, dir_.Write("limits", kOther).c_str(), 1);
  EXPECT_EQ(LoadLimits(limits_, source_), nullptr);
  EXPECT_EQ(limits_.devices[0].limit_bytes, 200u << 20);
}

TEST_F(LoadingLimits, ABadFileIsNotMadeGoodByTheEnvironment) {
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
    const char* problem = LoadLimits(limits_, source_);
    ASSERT_NE(problem, nullptr);
    EXPECT_THAT(problem, testing::HasSubstr(c.want));
  }
}

TEST_F(LoadingLimits, AnEmptyVariableNamesNoFile) {
  setenv(names::kEnvLimitsFile, "", 1);
  setenv(names::kEnvLimits, kText, 1);
  EXPECT_EQ(LoadLimits(limits_, source_), nullptr);
  setenv(names::kEnvRegionDir, "", 1);
  EXPECT_EQ(FindRegionDirectory(), nullptr);
}

TEST_F(LoadingLimits, AReplacedFileIsReadOnce) {
  setenv(names::kEnvLimitsFile, Replace(kText).c_str(), 1);
  ASSERT_EQ(LoadLimits(limits_, source_), nullptr);
  unsetenv(names::kEnvLimitsFile);  // where to look was settled at start
  EXPECT_FALSE(Reload());
  Replace(kOther);
  ASSERT_TRUE(Reload());
  EXPECT_EQ(problem_, nullptr);
  EXPECT_EQ(limits_.devices[0].limit_bytes, 200u << 20);
  EXPECT_FALSE(Reload());
}

TEST_F(LoadingLimits, AFileWrittenInPlaceIsReadAgain) {
  setenv(names::kEnvLimitsFile, dir_.Write("limits", kText).c_str(), 1);
  ASSERT_EQ(LoadLimits(limits_, source_), nullptr);
  dir_.Write("limits", "v1 fixed-share GPU-a:1000:50");
  ASSERT_TRUE(Reload());
  EXPECT_EQ(limits_.devices[0].limit_bytes, 1000u << 20);
}

TEST_F(LoadingLimits, AVanishedFileSaysNothing) {
  setenv(names::kEnvLimitsFile, Replace(kText).c_str(), 1);
  ASSERT_EQ(LoadLimits(limits_, source_), nullptr);
  std::filesystem::remove(dir_.File("limits"));
  EXPECT_FALSE(Reload());
  Replace(kOther);
  EXPECT_TRUE(Reload());
}

TEST_F(LoadingLimits, BadContentIsToldOnce) {
  setenv(names::kEnvLimitsFile, Replace(kText).c_str(), 1);
  ASSERT_EQ(LoadLimits(limits_, source_), nullptr);
  Replace("v1 fixed-share GPU-a:lots:50");
  ASSERT_TRUE(Reload());
  EXPECT_THAT(problem_, testing::HasSubstr("memory"));
  EXPECT_FALSE(Reload());
}

TEST_F(LoadingLimits, TheEnvironmentNeverChanges) {
  setenv(names::kEnvLimits, kText, 1);
  ASSERT_EQ(LoadLimits(limits_, source_), nullptr);
  setenv(names::kEnvLimits, kOther, 1);
  EXPECT_FALSE(Reload());
}

}  // namespace
}  // namespace tessera
