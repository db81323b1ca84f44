#include <filesystem>

#include <gtest/gtest.h>

#include "common/kube/token_source.h"
#include "tests/common/http/test_client.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::kube {
namespace {

class TokenTest : public testing::Test {
 protected:
  ManualClock clock_;
  http::TempDir dir_;
};

TEST_F(TokenTest, AFixedTokenStays) {
  TokenSource source("fixed", "", clock_);
  EXPECT_EQ(source.Get(), "fixed");
  EXPECT_FALSE(source.Refused("fixed"));
}

TEST_F(TokenTest, TheFileWinsAndIsReadOnceAMinute) {
  TokenSource source("fixed", dir_.Write("token", "one\n"), clock_);
  EXPECT_EQ(source.Get(), "one");
  dir_.Write("token", "two");
  clock_.Advance(std::chrono::seconds(59));
  EXPECT_EQ(source.Get(), "one");
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(source.Get(), "two");
}

TEST_F(TokenTest, ARefusedTokenIsReadAgainAtOnce) {
  TokenSource source("", dir_.Write("token", "one"), clock_);
  EXPECT_EQ(source.Get(), "one");
  EXPECT_FALSE(source.Refused("one")) << "the file has no other";
  dir_.Write("token", "two");
  EXPECT_TRUE(source.Refused("one"));
  EXPECT_EQ(source.Get(), "two");
  EXPECT_TRUE(source.Refused("one")) << "another thread was told about the old one";
}

TEST_F(TokenTest, AVanishedOrEmptyFileLeavesTheLastToken) {
  const std::string file = dir_.Write("token", "one");
  TokenSource source("", file, clock_);
  EXPECT_EQ(source.Get(), "one");
  dir_.Write("token", "");
  clock_.Advance(std::chrono::seconds(61));
  EXPECT_EQ(source.Get(), "one");
  std::filesystem::remove(file);
  clock_.Advance(std::chrono::seconds(61));
  EXPECT_EQ(source.Get(), "one");
}

TEST_F(TokenTest, ATokenCannotAddHeaders) {
  TokenSource source("", dir_.Write("token", "one\r\nX-Admin: yes"), clock_);
  EXPECT_EQ(source.Get(), "");
}

}  // namespace
}  // namespace tessera::kube
