#include "sim/runner/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr const char* kPod = R"({
  "metadata": {"name": "p", "namespace": "team", "uid": "u-1",
    "annotations": {"tessera.dev/c0-devices": "GPU-a,GPU-b", "it's": "quote"}, "labels": {"app": "x"}},
  "spec": {"nodeName": "n1", "serviceAccountName": "sa"}})";

TEST(ResolveField, KnowsWhatAKubeletKnows) {
  const auto pod = json::Parse(kPod).value();
  struct Case {
    const char* path;
    const char* want;
  };
  for (const Case& c : {
           Case{"metadata.name", "p"},
           Case{"metadata.namespace", "team"},
           Case{"metadata.uid", "u-1"},
           Case{"metadata.annotations['tessera.dev/c0-devices']", "GPU-a,GPU-b"},
           Case{"metadata.annotations['it's']", "quote"},
           Case{"metadata.annotations['missing']", ""},
           Case{"metadata.labels['app']", "x"},
           Case{"metadata.labels['missing']", ""},
           Case{"spec.nodeName", "n1"},
           Case{"spec.serviceAccountName", "sa"},
           Case{"status.podIP", "127.0.0.1"},
       }) {
    SCOPED_TRACE(c.path);
    EXPECT_EQ(ResolveField(pod, c.path).value_or("(error)"), c.want);
  }
}

TEST(ResolveField, RefusesOtherPathsByName) {
  const auto pod = json::Parse(kPod).value();
  for (const char* path :
       {"", "metadata", "metadata.annotations", "metadata.annotations[x]", "metadata.annotations['",
        "spec.containers", "metadata.annotations['']x"}) {
    SCOPED_TRACE(path);
    const auto value = ResolveField(pod, path);
    ASSERT_FALSE(value);
    EXPECT_THAT(value.error().message, HasSubstr(path));
  }
}

TEST(ExpandVariables, FollowsKubernetesRules) {
  const Environment known = {{"A", "1"}, {"B", "two"}, {"E", ""}};
  struct Case {
    const char* text;
    const char* want;
  };
  for (const Case& c : {
           Case{"plain", "plain"},
           Case{"$(A)", "1"},
           Case{"x$(A)y$(B)z", "x1ytwoz"},
           Case{"$(E)", ""},
           Case{"$(UNKNOWN)", "$(UNKNOWN)"},
           Case{"$$(A)", "$(A)"},
           Case{"$$$(A)", "$1"},
           Case{"$A ${A}", "$A ${A}"},
           Case{"$(A", "$(A"},
           Case{"$", "$"},
           Case{"$()", "$()"},
       }) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(ExpandVariables(c.text, known), c.want);
  }
}

TEST(ResolveEnvironment, LaterEntriesWinAndMayUseEarlierOnes) {
  const auto pod = json::Parse(kPod).value();
  const auto container = json::Parse(R"~({"env": [
    {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
    {"name": "FIRST", "value": "$(LATER)"},
    {"name": "LATER", "value": "here"},
    {"name": "SECOND", "value": "$(LATER)"},
    {"name": "EMPTY"},
    {"name": "NVIDIA_VISIBLE_DEVICES",
     "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['tessera.dev/c0-devices']"}}},
    {"name": "LIMITS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['missing']"}}}]})~")
                             .value();
  EXPECT_THAT(ResolveEnvironment(pod, container).value(),
              ElementsAre(Pair("EMPTY", ""), Pair("FIRST", "$(LATER)"), Pair("LATER", "here"),
                          Pair("LIMITS", ""), Pair("NVIDIA_VISIBLE_DEVICES", "GPU-a,GPU-b"),
                          Pair("SECOND", "here")));
}

TEST(ResolveEnvironment, AContainerWithoutEnvHasNone) {
  EXPECT_TRUE(ResolveEnvironment(json::Parse(kPod).value(), json::Parse("{}").value())->empty());
}

TEST(ResolveEnvironment, SourcesThatAreNotSimulatedAreRefusedUnlessOptional) {
  const auto pod = json::Parse(kPod).value();
  struct Case {
    const char* container;
    const char* want;  ///< part of the error; null: no error and no variable
  };
  for (const Case& c : {
           Case{R"({"env":[{"name":"S","valueFrom":{"secretKeyRef":{"name":"x","key":"y"}}}]})",
                "env S"},
           Case{R"({"env":[{"name":"S","valueFrom":{"secretKeyRef":{"optional":true}}}]})",
                nullptr},
           Case{R"({"env":[{"name":"S","valueFrom":{"configMapKeyRef":{"optional":true}}}]})",
                nullptr},
           Case{R"({"env":[{"name":"R","valueFrom":{"resourceFieldRef":{}}}]})", "env R"},
           Case{R"({"env":[{"name":"F","valueFrom":{"fieldRef":{}}}]})", "fieldPath is missing"},
           Case{R"({"env":[{"name":"V","value":7}]})", "env V"},
           Case{R"({"env":[{"value":"x"}]})", "name is missing"},
           Case{R"({"env":{}})", "env must be an array"},
           Case{R"({"envFrom":[{}]})", "envFrom"},
       }) {
    SCOPED_TRACE(c.container);
    const auto env = ResolveEnvironment(pod, json::Parse(c.container).value());
    ASSERT_EQ(env.has_value(), c.want == nullptr);
    if (env) {
      EXPECT_TRUE(env->empty());
    } else {
      EXPECT_THAT(env.error().message, HasSubstr(c.want));
    }
  }
}

}  // namespace
}  // namespace tessera::sim
