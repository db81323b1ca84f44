#include "sim/kube/object_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "sim/kube/binding.h"
#include "sim/kube/strategic_merge.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

rapidjson::Document Read(const std::string& text) { return json::Parse(text).value(); }
Target Pods() { return *ParseTarget("/api/v1/namespaces/default/pods"); }
Target Nodes() { return *ParseTarget("/api/v1/nodes"); }

const WallTime kNow{std::chrono::seconds(0)};

TEST(PrepareCreate, CompletesAPod) {
  auto pod = Read(
      R"({"metadata":{"generateName":"web-","uid":"mine","resourceVersion":"9"},"status":{"phase":"Running"},
      "spec":{"containers":[{"name":"c","resources":{"limits":{"tessera.dev/gpu":"1","cpu":"2"},"requests":{"cpu":"1"}}}]}})");
  ASSERT_TRUE(PrepareCreate(Pods(), pod, "abcde"));
  EXPECT_EQ(
      json::Dump(pod),
      R"({"metadata":{"generateName":"web-","namespace":"default","name":"web-abcde"},"status":{"phase":"Pending"},)"
      R"("spec":{"containers":[{"name":"c","resources":{"limits":{"tessera.dev/gpu":"1","cpu":"2"},)"
      R"("requests":{"cpu":"1","tessera.dev/gpu":"1"}}}],"restartPolicy":"Always","schedulerName":"default-scheduler",)"
      R"("terminationGracePeriodSeconds":30},"kind":"Pod","apiVersion":"v1"})");
}

TEST(PrepareCreate, KeepsWhatTheUserChose) {
  auto pod = Read(R"({"metadata":{"name":"p"},"spec":{"restartPolicy":"Never","schedulerName":"s",
      "terminationGracePeriodSeconds":0,"containers":[{"name":"c"}]}})");
  ASSERT_TRUE(PrepareCreate(Pods(), pod, ""));
  EXPECT_THAT(
      json::Dump(pod),
      HasSubstr(
          R"("restartPolicy":"Never","schedulerName":"s","terminationGracePeriodSeconds":0)"));
}

TEST(PrepareUpdate, KeepsIdentityAndTheOtherHalf) {
  const auto old = Read(
      R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"n","uid":"u","resourceVersion":"5","creationTimestamp":"t"},)"
      R"("spec":{"a":1},"status":{"b":1}})");
  auto whole =
      Read(R"({"metadata":{"name":"n","labels":{"x":"1"}},"spec":{"a":2},"status":{"b":2}})");
  ASSERT_TRUE(PrepareUpdate(Nodes(), old, whole));
  EXPECT_EQ(json::FindPath(whole, {"spec", "a"})->GetInt(), 2);
  EXPECT_EQ(json::FindPath(whole, {"status", "b"})->GetInt(), 1) << "status has its own way";
  EXPECT_STREQ(json::FindPath(whole, {"metadata", "uid"})->GetString(), "u");
  EXPECT_STREQ(json::FindPath(whole, {"metadata", "resourceVersion"})->GetString(), "5");
  auto status =
      Read(R"({"metadata":{"name":"n","resourceVersion":"5"},"spec":{"a":2},"status":{"b":2}})");
  Target target = Nodes();
  target.subresource = "status";
  ASSERT_TRUE(PrepareUpdate(target, old, status));
  EXPECT_EQ(json::FindPath(status, {"spec", "a"})->GetInt(), 1);
  EXPECT_EQ(json::FindPath(status, {"status", "b"})->GetInt(), 2);
}

TEST(PrepareUpdate, RefusesOtherVersionsNamesAndSpecs) {
  const auto old = Read(
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","uid":"u","resourceVersion":"5"},"spec":{"a":1}})");
  struct Case {
    const char* object;
    int code;
  };
  const Case cases[] = {
      {R"({"metadata":{"name":"p","resourceVersion":"4"},"spec":{"a":1}})", 409},
      {R"({"metadata":{"name":"p","uid":"other"},"spec":{"a":1}})", 409},
      {R"({"metadata":{"name":"q"},"spec":{"a":1}})", 400},
      {R"({"metadata":{"name":"p","annotations":{"x":1}},"spec":{"a":1}})", 400},
      {R"({"metadata":{"name":"p","annotations":[]},"spec":{"a":1}})", 422},
      {R"({"metadata":{"name":"p"},"spec":{"a":2}})", 422},
      {R"({"metadata":{"name":"p"}})", 422},
      {"[]", 400},
      {R"({"metadata":7,"spec":{"a":1}})", 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.object);
    auto object = Read(c.object);
    const auto done = PrepareUpdate(Pods(), old, object);
    EXPECT_EQ(done ? 0 : done.error().code, c.code);
  }
}

TEST(ApplyBinding, SetsNodeAnnotationsAndConditionInOneGo) {
  auto pod = Read(
      R"({"metadata":{"name":"p","uid":"u","annotations":{"a":"1","b":"1"}},"spec":{},)"
      R"("status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable"},{"type":"X"}]}})");
  ASSERT_TRUE(ApplyBinding(
      pod,
      Read(
          R"({"metadata":{"name":"p","uid":"u","annotations":{"b":"2","c":"3"},"labels":{"l":"1"}},"target":{"name":"n"}})"),
      kNow));
  EXPECT_EQ(json::Dump(*json::Find(pod, "metadata")),
            R"({"name":"p","uid":"u","annotations":{"a":"1","b":"2","c":"3"},"labels":{"l":"1"}})");
  EXPECT_EQ(json::Dump(*json::Find(pod, "spec")), R"({"nodeName":"n"})");
  EXPECT_THAT(json::Dump(*json::Find(pod, "status")),
              HasSubstr(R"({"type":"PodScheduled","status":"True",)"));
  EXPECT_THAT(json::Dump(*json::Find(pod, "status")), HasSubstr(R"({"type":"X"})"));
}

TEST(ApplyBinding, RefusalsLeaveThePodAlone) {
  struct Case {
    const char* name;
    const char* pod;
    const char* binding;
    int code;
    const char* words;
  };
  const char* free = R"({"metadata":{"name":"p","uid":"u","resourceVersion":"5"},"spec":{}})";
  const char* plain = R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}})";
  const Case cases[] = {
      {"bound", R"({"metadata":{"name":"p"},"spec":{"nodeName":"m"}})", plain, 409,
       "already assigned to node \"m\""},
      {"bound to the same", R"({"metadata":{"name":"p"},"spec":{"nodeName":"n"}})", plain, 409,
       "already assigned"},
      {"being deleted", R"({"metadata":{"name":"p","deletionTimestamp":"t"},"spec":{}})", plain,
       409, "is being deleted"},
      {"gated", R"({"metadata":{"name":"p"},"spec":{"schedulingGates":[{"name":"g"}]}})", plain,
       409, "schedulingGates"},
      {"other uid", free, R"({"metadata":{"uid":"v"},"target":{"name":"n"}})", 409,
       "UID in precondition: v"},
      {"other version", free, R"({"metadata":{"resourceVersion":"4"},"target":{"name":"n"}})", 409,
       "Precondition failed"},
      {"no target", free, R"({"metadata":{"name":"p"}})", 422, "target.name: Required value"},
      {"not a node", free, R"({"target":{"kind":"Pod","name":"n"}})", 422, "target.kind"},
      {"other name", free, R"({"metadata":{"name":"q"},"target":{"name":"n"}})", 400,
       "does not match"},
      {"no object", free, "[]", 422, "target.name"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto pod = Read(c.pod);
    const auto bound = ApplyBinding(pod, Read(c.binding), kNow);
    ASSERT_FALSE(bound);
    EXPECT_EQ(bound.error().code, c.code);
    EXPECT_THAT(bound.error().message, HasSubstr(c.words));
    EXPECT_EQ(json::Dump(pod), json::Dump(Read(c.pod)));
  }
}

TEST(ApplyStrategicMerge, MergesKnownListsByKey) {
  struct Case {
    const char* name;
    const char* before;
    const char* patch;
    const char* after;
  };
  const Case cases[] = {
      {"objects merge", R"({"a":{"x":1}})", R"({"a":{"y":2}})", R"({"a":{"x":1,"y":2}})"},
      {"null deletes", R"({"a":{"x":1,"y":2}})", R"({"a":{"x":null}})", R"({"a":{"y":2}})"},
      {"conditions by type", R"({"conditions":[{"type":"A","s":1},{"type":"B"}]})",
       R"({"conditions":[{"type":"A","s":2},{"type":"C"}]})",
       R"({"conditions":[{"type":"A","s":2},{"type":"B"},{"type":"C"}]})"},
      {"env within containers", R"({"containers":[{"name":"c","env":[{"name":"E","value":"1"}]}]})",
       R"({"containers":[{"name":"c","env":[{"name":"F","value":"2"}]}]})",
       R"({"containers":[{"name":"c","env":[{"name":"E","value":"1"},{"name":"F","value":"2"}]}]})"},
      {"delete by key", R"({"volumes":[{"name":"v"},{"name":"w"}]})",
       R"({"volumes":[{"name":"v","$patch":"delete"}]})", R"({"volumes":[{"name":"w"}]})"},
      {"other lists are replaced", R"({"args":["a"],"taints":[{"key":"k"}]})",
       R"({"args":["b"],"taints":[]})", R"({"args":["b"],"taints":[]})"},
      {"entries without a key are skipped", R"({"volumes":[{"name":"v"}]})",
       R"({"volumes":[7,{"x":1}]})", R"({"volumes":[{"name":"v"}]})"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto object = Read(c.before);
    ApplyStrategicMerge(object, Read(c.patch), object.GetAllocator());
    EXPECT_EQ(json::Dump(object), c.after);
  }
}

}  // namespace
}  // namespace tessera::sim
