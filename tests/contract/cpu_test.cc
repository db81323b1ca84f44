#include "common/contract/cpu.h"

#include <gtest/gtest.h>

#include "binpack/types.h"
#include "common/contract/pod_request.h"
#include "common/contract/quantity.h"
#include "common/json/json.h"

namespace tessera::contract {
namespace {

std::int64_t PodCpu(const std::string& spec) {
  const auto pod = json::Parse(R"({"spec":)" + spec + "}");
  EXPECT_TRUE(pod) << spec;
  return pod ? PodCpuMilli(*pod) : -1;
}

/// A container that requests so much.
std::string Asks(const std::string& cpu, const std::string& more = "") {
  return R"({"resources":{"requests":{"cpu":)" + cpu + R"(,"memory":"1Gi"}})" + more + "}";
}
std::string Sidecar(const std::string& cpu) { return Asks(cpu, R"(,"restartPolicy":"Always")"); }
std::string Spec(const std::string& containers, const std::string& init, const std::string& more) {
  return R"({"containers":[)" + containers + R"(],"initContainers":[)" + init + "]" + more + "}";
}

TEST(ParseMilli, RoundsUpToThousandths) {
  for (const auto& [text, want] : {std::pair<const char*, std::int64_t>{"0", 0},
                                   {"500m", 500},
                                   {"2", 2000},
                                   {"1.5", 1500},
                                   {"0.0001", 1},
                                   {"1e3m", -1},
                                   {"1e3", 1'000'000},
                                   {"15e-1", 1500},
                                   {"100u", 1},
                                   {"1n", 1},
                                   {"2k", 2'000'000},
                                   {"1Ki", 1'024'000},
                                   {"9E", -1},
                                   {"-1", -1},
                                   {"two", -1},
                                   {"", -1}}) {
    SCOPED_TRACE(text);
    EXPECT_EQ(ParseMilli(text).value_or(-1), want);
  }
}

TEST(PodCpu, IsCountedByKubernetesRule) {
  const std::string overhead = R"(,"overhead":{"cpu":"250m"})";
  const std::string pod_level = R"(,"resources":{"requests":{"cpu":"3"}})";
  const struct {
    const char* name;
    std::string spec;
    std::int64_t want;
  } cases[] = {
      {"apps add up", Spec(Asks("\"500m\"") + "," + Asks("\"2\""), "", ""), 2500},
      {"none stated", Spec("{}", "{}", ""), 0},
      {"a number", Spec(Asks("2"), "", ""), 2000},
      {"a number with a fraction", Spec(Asks("1.5"), "", ""), 1500},
      {"an init container that is larger", Spec(Asks("\"1\""), Asks("\"4\""), ""), 4000},
      {"one that is smaller", Spec(Asks("\"4\""), Asks("\"1\""), ""), 4000},
      {"init containers run one by one",
       Spec(Asks("\"1\""), Asks("\"2\"") + "," + Asks("\"3\""), ""), 3000},
      {"sidecars run beside the apps", Spec(Asks("\"1\""), Sidecar("\"2\""), ""), 3000},
      {"a sidecar runs beside the init containers after it",
       Spec(Asks("\"1\""), Sidecar("\"2\"") + "," + Asks("\"3\""), ""), 5000},
      {"and not beside those before it",
       Spec(Asks("\"1\""), Asks("\"3\"") + "," + Sidecar("\"2\""), ""), 3000},
      {"overhead", Spec(Asks("\"1\""), "", overhead), 1250},
      {"the pod's own request goes before its containers'",
       Spec(Asks("\"1\""), Asks("\"9\""), pod_level), 3000},
      {"and overhead comes to it", Spec(Asks("\"1\""), "", pod_level + overhead), 3250},
      {"a limit is a request where there is none",
       Spec(R"({"resources":{"limits":{"cpu":"2"}}})", "", ""), 2000},
      {"and else is not",
       Spec(R"({"resources":{"limits":{"cpu":"2"},"requests":{"cpu":"1"}}})", "", ""), 1000},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(PodCpu(c.spec), c.want);
  }
}

TEST(PodCpu, WhatCannotBeReadIsNoneAndWhatIsAbsurdIsBounded) {
  const std::string good = "," + Asks("\"1\"");
  for (const char* bad : {"\"-1\"", "\"1e99\"", "\"many\"", "\"\"", "null", "[]", "{}", "true",
                          "-7", "1e300", "\"99999999999999999999999999999999999999999999999\""}) {
    SCOPED_TRACE(bad);
    EXPECT_EQ(PodCpu(Spec(Asks(bad) + good, "", "")), 1000);
  }
  for (const char* spec : {"[]", "7", "null", R"({"containers":7,"initContainers":{}})",
                           R"({"containers":[7,null,[]],"initContainers":["x"]})",
                           R"({"containers":[{"resources":[]}],"overhead":"1","resources":[]})"}) {
    SCOPED_TRACE(spec);
    EXPECT_EQ(PodCpu(spec), 0);
  }
  std::string many = Asks("\"4E\"");
  for (int i = 0; i < 2000; ++i) many += "," + Asks("\"9000000000000000\"");
  EXPECT_EQ(PodCpu(Spec(many, many, R"(,"overhead":{"cpu":"4P"})")), binpack::kMaxCpuMilli);
}

TEST(PodCpu, IsAPartOfTheRequestAndNeverARefusal) {
  for (const auto& [cpu, want] : {std::pair{"\"1500m\"", 1500}, {"\"-1\"", 0}}) {
    SCOPED_TRACE(cpu);
    const auto pod = json::Parse(
        R"({"spec":{"containers":[{"name":"gpu","resources":{"limits":{"tessera.dev/gpu":"1"}}},)"
        R"({"name":"beside","resources":{"requests":{"cpu":)" +
        std::string(cpu) + "}}}]}}");
    const auto request = DecodePodRequest(*pod);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->cpu_milli, want);
  }
}

TEST(NodeCpu, IsWhatItGivesToPods) {
  const auto cpu = [](const std::string& status) {
    return NodeCpuMilli(*json::Parse(R"({"status":)" + status + "}"));
  };
  EXPECT_EQ(cpu(R"({"capacity":{"cpu":"64"},"allocatable":{"cpu":"63500m"}})"), 63500);
  EXPECT_EQ(cpu(R"({"allocatable":{"cpu":"0"}})"), 0);
  for (const char* status : {"{}", R"({"allocatable":{}})", R"({"allocatable":{"cpu":"x"}})",
                             R"({"allocatable":[]})", "7"}) {
    EXPECT_EQ(cpu(status), std::nullopt) << status;
  }
}

}  // namespace
}  // namespace tessera::contract
