#include "common/contract/limits.h"

#include <random>
#include <string>

#include <gmock/gmock.h>

#include "common/contract/assignment.h"
#include "interceptor/limits.h"

namespace tessera::contract {
namespace {

TEST(Limits, WhatWasEncodedIsDecoded) {
  binpack::ContainerPlacement container;
  container.devices = {{"GPU-aaa", 3000, 50}, {"MIG-bbb/1", 1, 0}};
  const std::string text =
      EncodeLimits(binpack::ComputePolicy::kBurstShare, binpack::Isolation::kShared, container);
  const auto limits = DecodeLimits(text);
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_EQ(limits->policy, binpack::ComputePolicy::kBurstShare);
  EXPECT_EQ(limits->devices, container.devices);
}

TEST(Limits, ErrorsNameTheDevice) {
  const auto limits = DecodeLimits("v1 fixed-share GPU-a:1:1 GPU-b:0:1");
  ASSERT_FALSE(limits);
  EXPECT_THAT(limits.error().message, ::testing::HasSubstr("GPU-b:0:1"));
}

/// The library's reader and ours say yes to the same texts, and read the same in them.
void ExpectTheSame(const std::string& text) {
  tessera::Limits theirs;
  const bool taken = ParseLimits(text, theirs) == nullptr;
  const auto ours = DecodeLimits(text);
  ASSERT_EQ(ours.has_value(), taken) << "\"" << text << "\"";
  if (!taken) return;
  ASSERT_EQ(ours->devices.size(), theirs.count);
  EXPECT_EQ(static_cast<int>(ours->policy), static_cast<int>(theirs.policy)) << text;
  for (std::size_t i = 0; i < theirs.count; ++i) {
    EXPECT_EQ(ours->devices[i].uuid, theirs.devices[i].uuid);
    EXPECT_EQ(static_cast<std::uint64_t>(ours->devices[i].memory_mib) << 20,
              theirs.devices[i].limit_bytes);
    EXPECT_EQ(ours->devices[i].cores_percent, theirs.devices[i].cores_percent);
    EXPECT_EQ(static_cast<std::uint64_t>(ours->devices[i].host_memory_mib) << 20,
              theirs.devices[i].host_bytes);
  }
}

TEST(Limits, TheLibraryReadsTheSame) {
  std::string many = "v1 best-effort";
  for (int i = 0; i < 16; ++i) many += " GPU-" + std::to_string(i) + ":1:0";
  const std::string long_uuid(47, 'a');
  for (const std::string& text :
       std::vector<std::string>{"v1 fixed-share GPU-a:3000:50",
                                "v1 burst-share GPU-a:3000:50\n",
                                "v1 best-effort GPU-a:1:0 gpu-b:1073741824:100",
                                "v1 fixed-share GPU-a:1073741825:1",
                                "v1 fixed-share GPU-a:01:1",
                                "v1 fixed-share GPU-a:1:101",
                                "v1 fixed-share GPU-a:1:",
                                "v1 fixed-share GPU-a:1",
                                "v1 fixed-share GPU-a:1:1:1",
                                "v1 fixed-share GPU-a:1:1:4096 GPU-b:1:1 GPU-c:1:0:1073741824",
                                "v1 fixed-share GPU-a:1:1:1073741825",
                                "v1 fixed-share GPU-a:1:1:",
                                "v1 fixed-share GPU-a:1:1:0",
                                "v1 fixed-share GPU-a:1:1:01",
                                "v1 fixed-share GPU-a:1:1:1:1",
                                "v1 fixed-share :1:1",
                                "",
                                "\n",
                                "v1",
                                "v1 ",
                                "v1 fixed-share",
                                "v1 fixed-share ",
                                "v2 fixed-share GPU-a:1:1",
                                "v1 whatever GPU-a:1:1",
                                "v1  fixed-share GPU-a:1:1",
                                "v1 fixed-share GPU-a:1:1 ",
                                "v1 fixed-share GPU-a:1:1  GPU-b:1:1",
                                "v1 fixed-share GPU-a:1:1 GPU-A:1:1",
                                "v1 fixed-share GPU-a:1:1\n\n",
                                " v1 fixed-share GPU-a:1:1",
                                "v1 fixed-share GPU a:1:1",
                                "v1 fixed-share GPU_a:1:1",
                                "v1 fixed-share GPU-a:+1:1",
                                "v1 fixed-share GPU-a:1:-1",
                                "v1 fixed-share GPU-a:99999999999:1",
                                "v1 fixed-share GPU-a:1:00",
                                "v1 fixed-share " + long_uuid + ":1:1",
                                "v1 fixed-share " + long_uuid + "a:1:1",
                                many,
                                many + " GPU-x:1:0",
                                std::string("v1 fixed-share GPU-a\0:1:1", 25)}) {
    ExpectTheSame(text);
  }
}

TEST(Limits, TheLibraryReadsTheSameOfAnyText) {
  const std::string whole = "v1 burst-share GPU-a:3000:50:409 MIG-b/1:1:0\n";
  const std::string letters = "v1 :-/\nGaB09\xff";
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = whole;
    for (int edits = static_cast<int>(random() % 3) + 1; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      const char letter = letters[random() % letters.size()];
      switch (random() % 3) {
        case 0:
          text[at] = letter;
          break;
        case 1:
          text.insert(at, 1, letter);
          break;
        default:
          text.erase(at, 1);
      }
    }
    ExpectTheSame(text);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace tessera::contract
