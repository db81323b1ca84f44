#include "interceptor/limits.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera {
namespace {

using testing::HasSubstr;

TEST(Limits, ReadsEveryField) {
  Limits limits;
  ASSERT_EQ(ParseLimits("v1 burst-share GPU-aaaa:3000:50 MIG-bbbb:1:0", limits), nullptr);
  EXPECT_EQ(limits.policy, region::Policy::kBurstShare);
  ASSERT_EQ(limits.count, 2u);
  EXPECT_STREQ(limits.devices[0].uuid, "GPU-aaaa");
  EXPECT_EQ(limits.devices[0].limit_bytes, 3000u << 20);
  EXPECT_EQ(limits.devices[0].cores_percent, 50u);
  EXPECT_STREQ(limits.devices[1].uuid, "MIG-bbbb");
  EXPECT_EQ(limits.devices[1].limit_bytes, 1u << 20);
  EXPECT_EQ(limits.devices[1].cores_percent, 0u);
}

TEST(Limits, HostMemoryIsAFourthNumberAndNoneWithoutIt) {
  Limits limits;
  const char* text =
      "v1 fixed-share GPU-a:3000:50:4096 GPU-b:1:0 GPU-c:1:100:1 GPU-d:1:0:1073741824\n";
  ASSERT_EQ(ParseLimits(text, limits), nullptr);
  ASSERT_EQ(limits.count, 4u);
  EXPECT_EQ(limits.devices[0].limit_bytes, 3000u << 20);
  EXPECT_EQ(limits.devices[0].cores_percent, 50u);
  EXPECT_EQ(limits.devices[0].host_bytes, std::uint64_t{4096} << 20);
  EXPECT_EQ(limits.devices[1].host_bytes, 0u);
  EXPECT_EQ(limits.devices[2].host_bytes, 1u << 20);
  EXPECT_EQ(limits.devices[3].host_bytes, region::kMaxBytes);
}

TEST(Limits, AcceptsWhatFilesAndPoliciesLookLike) {
  for (const char* text : {"v1 fixed-share GPU-a:1:1\n", "v1 best-effort GPU-a:1:100",
                           "v1 fixed-share GPU-a:1073741824:0"}) {
    Limits limits;
    EXPECT_EQ(ParseLimits(text, limits), nullptr) << text;
  }
}

TEST(Limits, RefusesEverythingElseAndSaysWhy) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"", "empty"},
      {"\n", "empty"},
      {" ", "version"},
      {"v2 fixed-share GPU-a:1:1", "version"},
      {"fixed-share GPU-a:1:1", "version"},
      {"v1", "policy"},
      {"v1 ", "policy"},
      {"v1 fixed", "policy"},
      {"v1 Fixed-Share GPU-a:1:1", "policy"},
      {"v1  fixed-share GPU-a:1:1", "policy"},
      {"v1 fixed-share", "no device"},
      {"v1 fixed-share ", "no device"},
      {"v1 fixed-share  GPU-a:1:1", "uuid"},
      {"v1 fixed-share GPU-a:1:1 ", "space"},
      {"v1 fixed-share GPU-a:1:1  GPU-b:1:1", "uuid"},
      {"v1 fixed-share GPU-a:1:1\n\n", "cores"},
      {"v1 fixed-share :1:1", "uuid"},
      {"v1 fixed-share GPU_a:1:1", "uuid"},
      {"v1 fixed-share GPU-a", "memory"},
      {"v1 fixed-share GPU-a:", "memory"},
      {"v1 fixed-share GPU-a::50", "memory"},
      {"v1 fixed-share GPU-a:0:50", "memory"},
      {"v1 fixed-share GPU-a:-1:50", "memory"},
      {"v1 fixed-share GPU-a:+1:50", "memory"},
      {"v1 fixed-share GPU-a:01:50", "memory"},
      {"v1 fixed-share GPU-a:1.5:50", "memory"},
      {"v1 fixed-share GPU-a:1073741825:50", "memory"},
      {"v1 fixed-share GPU-a:99999999999999999999:50", "memory"},
      {"v1 fixed-share GPU-a:1", "cores"},
      {"v1 fixed-share GPU-a:1:", "cores"},
      {"v1 fixed-share GPU-a:1:101", "cores"},
      {"v1 fixed-share GPU-a:1:50%", "cores"},
      {"v1 fixed-share GPU-a:1:1:", "host memory"},
      {"v1 fixed-share GPU-a:1:1:0", "host memory"},
      {"v1 fixed-share GPU-a:1:1:01", "host memory"},
      {"v1 fixed-share GPU-a:1:1:-1", "host memory"},
      {"v1 fixed-share GPU-a:1:1:4Gi", "host memory"},
      {"v1 fixed-share GPU-a:1:1:1073741825", "host memory"},
      {"v1 fixed-share GPU-a:1:1:99999999999999999999", "host memory"},
      {"v1 fixed-share GPU-a:1:1:1:1", "host memory"},
      {"v1 fixed-share GPU-a:1:1:1 GPU-b:1:1:0", "host memory"},
      {"v1 fixed-share GPU-a:1::1", "cores"},
      {"v1 fixed-share GPU-a:1:1 GPU-A:2:2", "twice"},
      {"v1 fixed-share GPU-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1:1", "uuid"},
  };
  for (const Case& c : cases) {
    Limits limits;
    const char* problem = ParseLimits(c.text, limits);
    ASSERT_NE(problem, nullptr) << c.text;
    EXPECT_THAT(problem, HasSubstr(c.want)) << c.text;
  }
}

TEST(Limits, TakesAsManyDevicesAsARegionHas) {
  std::string text = "v1 fixed-share";
  for (std::size_t i = 0; i < region::kMaxDevices; ++i) {
    text += " GPU-" + std::to_string(i) + ":1:1";
  }
  Limits limits;
  EXPECT_EQ(ParseLimits(text, limits), nullptr);
  EXPECT_EQ(limits.count, region::kMaxDevices);
  EXPECT_THAT(ParseLimits(text + " GPU-x:1:1", limits), HasSubstr("too many"));
}

TEST(Limits, NothingEmbeddedEndsTheText) {
  Limits limits;
  EXPECT_NE(ParseLimits(std::string_view("v1 fixed-share GPU-a:1:1\0", 25), limits), nullptr);
}

TEST(Limits, ComparesUuidsAsPeopleWriteThem) {
  CUuuid uuid;
  for (int i = 0; i < 16; ++i) uuid.bytes[i] = static_cast<char>(0xf0 + i);
  EXPECT_TRUE(UuidMatches("GPU-f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff", uuid));
  EXPECT_TRUE(UuidMatches("gpu-F0F1F2F3-F4F5-F6F7-F8F9-FAFBFCFDFEFF", uuid));
  EXPECT_TRUE(UuidMatches("MIG-f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff", uuid));
  EXPECT_FALSE(UuidMatches("GPU-f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfefe", uuid));
  EXPECT_FALSE(UuidMatches("GPU-f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfe", uuid));
  EXPECT_FALSE(UuidMatches("GPU-f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff0", uuid));
  EXPECT_FALSE(UuidMatches("f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff", uuid));
  EXPECT_FALSE(UuidMatches("GPU-", uuid));
  EXPECT_FALSE(UuidMatches("", uuid));
}

TEST(Limits, SameDevicesAreTheSameInTheSameOrder) {
  struct Case {
    const char* other;
    bool want;
  };
  const Case cases[] = {
      {"v1 burst-share GPU-A:7:8 gpu-b:9:10", true},
      {"v1 fixed-share GPU-b:1:1 GPU-a:1:1", false},
      {"v1 fixed-share GPU-a:1:1", false},
      {"v1 fixed-share GPU-a:1:1 GPU-b:1:1 GPU-c:1:1", false},
      {"v1 fixed-share GPU-a:1:1 GPU-c:1:1", false},
  };
  Limits limits;
  ASSERT_EQ(ParseLimits("v1 fixed-share GPU-a:1:1 GPU-b:1:1", limits), nullptr);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.other);
    Limits other;
    ASSERT_EQ(ParseLimits(c.other, other), nullptr);
    EXPECT_EQ(SameDevices(limits, other), c.want);
    EXPECT_EQ(SameDevices(other, limits), c.want);
  }
}

}  // namespace
}  // namespace tessera
