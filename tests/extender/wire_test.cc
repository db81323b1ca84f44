#include "extender/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "extender/wire_objects.h"

namespace tessera::extender {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ArgsText(const std::string& pod, const std::string& rest = R"("NodeNames":["a"])") {
  return "{\"Pod\":" + pod + "," + rest + "}";
}

const std::string kPod = R"({"metadata":{"name":"p","namespace":"d","uid":"u"},"spec":{}})";

TEST(ExtenderArgs, ReadsNamesAndNullNodes) {
  const auto args = ParseExtenderArgs(ArgsText(kPod, R"("Nodes":null,"NodeNames":["a","b"])"));
  ASSERT_TRUE(args) << args.error().message;
  EXPECT_EQ(args->pod.uid, "u");
  EXPECT_EQ(args->pod.key(), "d/p");
  EXPECT_FALSE(args->pod.managed);
  EXPECT_TRUE(args->pod.request.containers.empty());
  EXPECT_THAT(*args->node_names, ElementsAre("a", "b"));
}

TEST(ExtenderArgs, PodsWithoutAUidAreKnownByName) {
  const auto args = ParseExtenderArgs(ArgsText(R"({"metadata":{"name":"p","namespace":"d"}})"));
  ASSERT_TRUE(args) << args.error().message;
  EXPECT_EQ(args->pod.uid, "d/p");
}

TEST(ExtenderArgs, KeepsNodeObjectsAsTheyCame) {
  const auto args = ParseExtenderArgs(ArgsText(
      kPod, R"("NodeNames":null,"Nodes":{"items":[{"metadata":{"name":"n"},"x":[1.5,null]}]})"));
  ASSERT_TRUE(args) << args.error().message;
  EXPECT_FALSE(args->node_names);
  ASSERT_EQ(args->nodes.size(), 1u);
  EXPECT_EQ(args->nodes[0].object, R"({"metadata":{"name":"n"},"x":[1.5,null]})");
  EXPECT_FALSE(args->nodes[0].inventory);
}

TEST(ExtenderArgs, ErrorsNameTheField) {
  struct Case {
    std::string text;
    std::string want;
  };
  const Case cases[] = {
      {"", "not JSON"},
      {"[]", "Pod is missing"},
      {"{}", "Pod is missing"},
      {R"({"Pod":7})", "Pod must be an object"},
      {R"({"Pod":{}})", "Pod.metadata is missing"},
      {R"({"Pod":{"metadata":{}}})", "Pod.metadata.name is missing"},
      {R"({"Pod":{"metadata":{"name":7}}})", "Pod.metadata.name must be a string"},
      {R"({"Pod":{"metadata":{"name":"p","uid":[]}}})", "Pod.metadata.uid must be a string"},
      {ArgsText(kPod, R"("NodeNames":null)"), "NodeNames and Nodes are both missing"},
      {ArgsText(kPod, R"("NodeNames":{})"), "NodeNames must be an array"},
      {ArgsText(kPod, R"("NodeNames":["a",7])"), "NodeNames must be an array of strings"},
      {ArgsText(kPod, R"("Nodes":[])"), "Nodes must be an object"},
      {ArgsText(kPod, R"("Nodes":{})"), "items is missing"},
      {ArgsText(kPod, R"("Nodes":{"items":[7]})"), "Nodes.items[0].metadata is missing"},
      {ArgsText(
           R"({"metadata":{"name":"p","namespace":"d","annotations":{"tessera.dev/gpu-cores":"200"}},)"
           R"("spec":{"containers":[{"name":"c"}]}})"),
       "pod d/p: annotation tessera.dev/gpu-cores: 200 is not from 0 to 100"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto args = ParseExtenderArgs(c.text);
    ASSERT_FALSE(args);
    EXPECT_THAT(args.error().message, HasSubstr(c.want));
  }
}

TEST(BindingArgs, ReadsAllFourFieldsAndNamesTheMissingOne) {
  const auto args =
      ParseBindingArgs(R"({"PodName":"p","PodNamespace":"d","PodUID":"u","Node":"n"})");
  ASSERT_TRUE(args);
  EXPECT_EQ(args->key(), "d/p");
  EXPECT_EQ(args->uid, "u");
  EXPECT_EQ(args->node, "n");
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"null", "PodName is missing"},
      {R"({"PodName":null})", "PodName is missing"},
      {R"({"PodName":7})", "PodName must be a string"},
      {R"({"PodName":"p","PodNamespace":"d","PodUID":"u"})", "Node is missing"},
      {R"({"PodName":"p","PodNamespace":"d","PodUID":"","Node":"n"})", "PodUID must not be empty"},
      {R"({"PodName":"p/../x","PodNamespace":"d","PodUID":"u","Node":"n"})",
       "PodName is not a Kubernetes name"},
      {R"({"PodName":"p?x","PodNamespace":"d","PodUID":"u","Node":"n"})",
       "PodName is not a Kubernetes name"},
      {R"({"PodName":"p","PodNamespace":"..","PodUID":"u","Node":"n"})",
       "PodNamespace is not a Kubernetes name"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto bad = ParseBindingArgs(c.text);
    ASSERT_FALSE(bad);
    EXPECT_THAT(bad.error().message, HasSubstr(c.want));
  }
}

TEST(Answers, HaveGosNamesAndExplicitNulls) {
  EXPECT_EQ(FilterResultJson({.node_names = {"a"},
                              .failed = {{"b", "why"}},
                              .failed_and_unresolvable = {{"c", "so"}}}),
            R"({"Nodes":null,"NodeNames":["a"],"FailedNodes":{"b":"why"},)"
            R"("FailedAndUnresolvableNodes":{"c":"so"},"Error":""})");
  EXPECT_EQ(
      FilterResultJson({.node_names = {}}),
      R"({"Nodes":null,"NodeNames":[],"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":""})");
  EXPECT_EQ(
      FilterErrorJson("no \"x\""),
      R"({"Nodes":null,"NodeNames":null,"FailedNodes":null,"FailedAndUnresolvableNodes":null,"Error":"no \"x\""})");
  EXPECT_THAT(FilterErrorJson(""), HasSubstr("unknown error"))
      << "an empty Error would mean success";
  EXPECT_EQ(HostPrioritiesJson({{"a", 7}, {"b", 0}}),
            R"([{"Host":"a","Score":7},{"Host":"b","Score":0}])");
  EXPECT_EQ(HostPrioritiesJson({}), "[]");
  EXPECT_EQ(BindingResultJson(""), R"({"Error":""})");
}

TEST(ObjectNames, AreSafeInAPath) {
  for (const char* name : {"a", "my-pod.2", "N1"}) EXPECT_TRUE(IsObjectName(name)) << name;
  for (const char* name : {"", ".", "..", "a/b", "a?b", "a b", "a%2f", "\xff"})
    EXPECT_FALSE(IsObjectName(name)) << name;
  EXPECT_FALSE(IsObjectName(std::string(254, 'a')));
}

TEST(PreemptionArgs, ReadsBothForms) {
  const auto meta = ParsePreemptionArgs(
      R"({"Pod":{"metadata":{"name":"p","uid":"u"},"spec":{"priority":7}},"NodeNameToVictims":null,)"
      R"("NodeNameToMetaVictims":{"n":{"Pods":[{"UID":"a"},{"UID":"b"}],"NumPDBViolations":2},"m":null}})");
  ASSERT_TRUE(meta) << meta.error().message;
  EXPECT_EQ(meta->pod.priority, 7);
  ASSERT_EQ(meta->nodes.size(), 2u);
  EXPECT_EQ(meta->nodes[0].node, "n");
  EXPECT_THAT(meta->nodes[0].uids, ElementsAre("a", "b"));
  EXPECT_EQ(meta->nodes[0].pdb_violations, 2);
  EXPECT_TRUE(meta->nodes[1].uids.empty());
  const auto whole = ParsePreemptionArgs(
      R"({"Pod":{"metadata":{"name":"p"}},)"
      R"("NodeNameToVictims":{"n":{"Pods":[{"metadata":{"name":"a","uid":"a"}}]}}})");
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_THAT(whole->nodes.at(0).uids, ElementsAre("a"));
}

TEST(PreemptionArgs, ErrorsNameTheField) {
  struct Case {
    std::string victims;
    std::string want;
  };
  const Case cases[] = {
      {"", "NodeNameToMetaVictims and NodeNameToVictims are both missing"},
      {R"(,"NodeNameToMetaVictims":[])", "NodeNameToMetaVictims must be an object"},
      {R"(,"NodeNameToMetaVictims":{"n":{"Pods":7}})",
       "NodeNameToMetaVictims: n: Pods must be an array"},
      {R"(,"NodeNameToMetaVictims":{"n":{"Pods":[{"UID":7}]}})", "n: Pods: UID must be a string"},
      {R"(,"NodeNameToMetaVictims":{"n":{"Pods":[{"UID":""}]}})", "n: Pods: a pod has no uid"},
      {R"(,"NodeNameToMetaVictims":{"n":{"Pods":[null]}})", "n: Pods: metadata is missing"},
      {R"(,"NodeNameToVictims":{"n":{"Pods":[{}],"NumPDBViolations":0}})",
       "NodeNameToVictims: n: Pods: metadata"},
      {R"(,"NodeNameToVictims":{"n":{"Pods":[],"NumPDBViolations":"x"}})",
       "NumPDBViolations must be"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.victims);
    const auto args = ParsePreemptionArgs("{\"Pod\":" + kPod + c.victims + "}");
    ASSERT_FALSE(args);
    EXPECT_THAT(args.error().message, HasSubstr(c.want));
  }
}

TEST(Importance, IsReadFromAnyPod) {
  const auto read = [](const std::string& text) { return ImportanceOf(*json::Parse(text)); };
  EXPECT_EQ(read("{}"), Importance{});
  EXPECT_EQ(
      read(R"({"metadata":{"creationTimestamp":"1970-01-01T00:01:00Z"},"spec":{"priority":-3}})"),
      (Importance{.priority = -3, .started = 60}));
  EXPECT_EQ(
      read(R"({"metadata":{"creationTimestamp":"1970-01-01T00:01:00Z","deletionTimestamp":"x"},)"
           R"("status":{"startTime":"1970-01-01T00:02:00Z"}})"),
      (Importance{.started = 120, .terminating = true}));
  EXPECT_EQ(read(R"({"metadata":{"creationTimestamp":7},"spec":{"priority":1e99}})"), Importance{});
}

}  // namespace
}  // namespace tessera::extender
