#include "extender/other_pods.h"

#include <map>

#include "common/json/json.h"
#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

std::string PodText(const std::string& uid, const std::string& node, const std::string& cpu,
                    const std::string& phase = "Running") {
  return R"({"metadata":{"namespace":"kube-system","name":"pod-)" + uid + R"(","uid":")" + uid +
         R"("},"spec":{"nodeName":")" + node +
         R"(","containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu +
         R"("}}}]},"status":{"phase":")" + phase + "\"}}";
}

class OtherPodsTest : public testing::Test {
 protected:
  void Apply(const std::string& uid, const std::string& node, const std::string& cpu,
             const std::string& phase = "Running") {
    const auto pod = json::Parse(PodText(uid, node, cpu, phase));
    ASSERT_TRUE(pod);
    others_.Apply(*pod);
  }

  std::map<std::string, std::int64_t> sums_;
  int told_ = 0;
  OtherPods others_{[this](const std::string& node, std::int64_t cpu_milli) {
    sums_[node] = cpu_milli;
    ++told_;
  }};
};

TEST_F(OtherPodsTest, SumsUpByNode) {
  Apply("1", "a", "1");
  Apply("2", "a", "2500m");
  Apply("3", "b", "4");
  EXPECT_EQ(sums_["a"], 3500);
  EXPECT_EQ(sums_["b"], 4000);
  others_.Remove("1");
  EXPECT_EQ(sums_["a"], 2500);
  others_.Remove("1");
  others_.Remove("never seen");
  others_.Remove("2");
  others_.Remove("3");
  EXPECT_EQ(sums_["a"], 0);
  EXPECT_EQ(sums_["b"], 0);
  EXPECT_EQ(others_.pods(), 0u);
}

TEST_F(OtherPodsTest, APodToldAgainCountsOnceWithItsPresentNodeAndCpu) {
  Apply("1", "a", "1");
  Apply("1", "a", "1");
  EXPECT_EQ(sums_["a"], 1000);
  Apply("1", "a", "3");
  EXPECT_EQ(sums_["a"], 3000);
  Apply("1", "b", "3");
  EXPECT_EQ(sums_["a"], 0);
  EXPECT_EQ(sums_["b"], 3000);
}

TEST_F(OtherPodsTest, PodsThatEndedOrWaitForANodeCountForNothing) {
  Apply("waiting", "", "8");
  EXPECT_TRUE(sums_.empty());
  for (const char* phase : {"Succeeded", "Failed"}) {
    Apply("1", "a", "1");
    EXPECT_EQ(sums_["a"], 1000);
    Apply("1", "a", "1", phase);
    EXPECT_EQ(sums_["a"], 0) << phase;
  }
}

TEST_F(OtherPodsTest, SmallPodsSeldomChangeASum) {
  for (int i = 0; i < 100; ++i) Apply(std::to_string(i), "a", "10m");
  EXPECT_EQ(sums_["a"], 1000);
  EXPECT_EQ(told_, 10);
  Apply("none", "a", "0");
  EXPECT_EQ(told_, 10);
}

TEST_F(OtherPodsTest, StrangeObjectsAreLeftAlone) {
  for (const char* text : {"{}", "[]", "7", R"({"metadata":{"uid":7},"spec":7})",
                           R"({"metadata":{"uid":"u"},"spec":{"nodeName":7}})"}) {
    others_.Apply(*json::Parse(text));
  }
  EXPECT_EQ(others_.pods(), 0u);
}

TEST_F(CacheTest, WhatIsKeptOfAListedPodCountsAsThePodItself) {
  AddNode(cache_, "n", 1);
  const auto handlers = OtherPodHandlers(cache_);
  const auto pod = json::Parse(PodText("u", "n", "1500m"));
  rapidjson::Document list;
  const auto kept = handlers.keep(*pod, list.GetAllocator());
  EXPECT_LT(json::Dump(kept).size(), json::Dump(*pod).size());
  const auto used = [&] { return cache_.UpdateSnapshot()->Find("n")->committed.cpu_used_milli; };
  handlers.on_upsert(kept);
  EXPECT_EQ(used(), 1500);
  handlers.on_upsert(*pod);
  EXPECT_EQ(used(), 1500) << "listed, then told by the watch";
  handlers.on_delete("kube-system/pod-u", "u");
  EXPECT_EQ(used(), 0);
  for (const char* text : {"{}", "7", R"({"metadata":{"uid":7}})"}) {
    handlers.on_upsert(handlers.keep(*json::Parse(text), list.GetAllocator()));
  }
  EXPECT_EQ(used(), 0);
}

}  // namespace
}  // namespace tessera::extender
