#include "binpack/simulate/trace.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace tessera::binpack::simulate {
namespace {

constexpr const char* kNodes =
    "sn,cpu_milli,memory_mib,gpu,model\r\n"
    "a,64000,262144,2,P100\r\n"
    "b,32000,131072,0,\r\n"
    "c,96000,393216,8,G2\r\n";

TEST(ParseNodes, LeavesOutNodesWithoutGpus) {
  Trace trace;
  ASSERT_TRUE(ParseNodes(kNodes, trace));
  ASSERT_EQ(trace.nodes.size(), 2U);
  EXPECT_EQ(trace.models, (std::vector<std::string>{"P100", "G2"}));
  EXPECT_EQ(trace.nodes[1].gpus, 8);
  EXPECT_EQ(trace.nodes[1].cpu_milli, 96000);
  EXPECT_EQ(WholeGpus(trace.nodes[1]), 8);
}

TEST(ParsePods, ReadsColumnsByName) {
  Trace trace;
  ASSERT_TRUE(ParseNodes(kNodes, trace));
  ASSERT_TRUE(
      ParsePods("name,gpu_milli,num_gpu,memory_mib,cpu_milli,gpu_spec,qos\n"
                "p,460,1,12288,6000,G2|V100,LS\n"
                "q,1000,8,1,2,,\n"
                "r,0,0,5,7,,\n"
                "s,100,1,5,7,V100,\n",
                trace));
  ASSERT_EQ(trace.pods.size(), 4U);
  EXPECT_EQ(trace.pods[0], (PodShape{6000, 12288, 1, {460, 460}, ModelSet{1} << 1}));
  EXPECT_EQ(trace.pods[1], (PodShape{2, 1, 8, kWholeGpu, kAnyModel}));
  EXPECT_EQ(trace.pods[2], (PodShape{7, 5, 0, {}, kAnyModel}));
  EXPECT_EQ(trace.pods[3].models, ModelSet{0}) << "no node has it";
}

TEST(ParsePods, ReadsASecondDimension) {
  Trace trace;
  ASSERT_TRUE(
      ParsePods("cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_memory_milli\n1,1,1,250,750\n", trace));
  EXPECT_EQ(trace.pods[0].share, (Share{750, 250}));
}

TEST(Parse, ErrorsNameLineAndColumn) {
  const struct {
    const char* name;
    const char* csv;
    const char* want;
  } cases[] = {
      {"empty", "", "line 1: no pod asks for a GPU"},
      {"column missing", "cpu_milli,memory_mib,num_gpu\n1,1,1\n",
       "line 2: there is no column gpu_milli"},
      {"row too short", "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,1,1\n",
       "line 2: no value for gpu_milli"},
      {"not a number", "cpu_milli,memory_mib,num_gpu,gpu_milli\n\nx,1,1,1\n",
       "line 3: cpu_milli must be a whole number from 0 to 2147483647"},
      {"negative", "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,-1,1,1\n",
       "line 2: memory_mib must be a whole number from 0 to 2147483647"},
      {"too large", "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,99999999999,1,1\n",
       "line 2: memory_mib must be a whole number from 0 to 2147483647"},
      {"too many GPUs", "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,1,17,1\n",
       "line 2: num_gpu must be a whole number from 0 to 16"},
      {"more than a GPU of a GPU", "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,1,1,1001\n",
       "line 2: gpu_milli must be a whole number from 0 to 1000"},
      {"nothing of a GPU", "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,1,1,0\n",
       "line 2: a pod with GPUs asks for nothing of them"},
      {"no GPU at all", "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,1,0,0\n",
       "line 2: no pod asks for a GPU"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Trace trace;
    const auto result = ParsePods(c.csv, trace);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, c.want);
  }
  Trace trace;
  EXPECT_EQ(ParseNodes("sn,gpu\n", trace).error().message, "line 1: no node with a GPU");
}

TEST(ParseNodes, RefusesMoreModelsThanAMaskHas) {
  std::string csv = "sn,cpu_milli,memory_mib,gpu,model\n";
  for (int i = 0; i < kMaxModels; ++i) csv += "n,1,1,1,M" + std::to_string(i) + "\n";
  Trace trace;
  ASSERT_TRUE(ParseNodes(csv, trace));
  Trace more;
  EXPECT_EQ(ParseNodes(csv + "n,1,1,1,another", more).error().message,
            "line 66: more than 64 GPU models");
}

TEST(Parse, WhateverTheTextIsItFailsOrStaysInRange) {
  const std::string good =
      "cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n1,2,1,460,G2\n3,4,8,1000,\n5,6,0,0,\n";
  constexpr std::string_view kBytes("\0\n\r,|-.0199x", 13);
  std::mt19937 random(3);
  int read = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = good;
    for (int edits = 0; edits < 2; ++edits) text[random() % text.size()] = kBytes[random() % 13];
    Trace trace;
    ASSERT_TRUE(ParseNodes(kNodes, trace));
    if (!ParsePods(text, trace)) continue;
    ++read;
    for (const PodShape& pod : trace.pods) {
      ASSERT_TRUE(pod.cpu_milli >= 0 && pod.memory_mib >= 0);
      ASSERT_TRUE(pod.gpus >= 0 && pod.gpus <= kMaxRoomGpus);
      ASSERT_TRUE(Within(Share{0, 0}, pod.share) && Within(pod.share, kWholeGpu));
    }
  }
  EXPECT_GT(read, 200);
  EXPECT_LT(read, 4800);
}

double RankCorrelation(const std::vector<PodShape>& pods) {
  const auto ranks = [&](auto get) {
    std::vector<double> ranks_of(pods.size());
    for (std::size_t i = 0; i < pods.size(); ++i) {
      for (const PodShape& other : pods) {
        ranks_of[i] += get(other) < get(pods[i]) ? 1 : get(other) == get(pods[i]) ? 0.5 : 0;
      }
    }
    return ranks_of;
  };
  const auto a = ranks([](const PodShape& pod) { return pod.share.cores; });
  const auto b = ranks([](const PodShape& pod) { return pod.share.memory; });
  const double mean = static_cast<double>(pods.size()) / 2;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  return ab / std::sqrt(aa * bb);
}

TEST(WithMemoryCorrelation, PermutesMemoryOfSharingPodsOnly) {
  std::vector<PodShape> pods;
  for (int i = 0; i < 2000; ++i) {
    const auto share = static_cast<std::int16_t>(10 + i % 97 * 10);
    pods.push_back({.gpus = 1, .share = {share, share}});
  }
  for (const double rho : {0.0, 0.5, 1.0}) {
    SCOPED_TRACE(rho);
    const auto derived = WithMemoryCorrelation(pods, rho, 7);
    EXPECT_NEAR(RankCorrelation(derived), rho, 0.04);
    std::vector<int> before, after;
    for (std::size_t i = 0; i < pods.size(); ++i) {
      EXPECT_EQ(derived[i].share.cores, pods[i].share.cores);
      before.push_back(pods[i].share.memory);
      after.push_back(derived[i].share.memory);
    }
    std::sort(before.begin(), before.end());
    std::sort(after.begin(), after.end());
    EXPECT_EQ(before, after);
    if (rho == 1) {
      EXPECT_EQ(derived, pods) << "the one-dimensional trace";
    }
  }
  const std::vector<PodShape> whole{
      {.gpus = 1, .share = kWholeGpu}, {.gpus = 4, .share = kWholeGpu}, {}};
  EXPECT_EQ(WithMemoryCorrelation(whole, 0, 7), whole);
}

}  // namespace
}  // namespace tessera::binpack::simulate
