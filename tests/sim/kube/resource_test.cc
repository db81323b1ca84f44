#include "sim/kube/resource.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

TEST(ParseTarget, ReadsPathsAsKubernetesBuildsThem) {
  struct Case {
    const char* path;
    const char* kind;
    const char* ns;
    const char* name;
    const char* subresource;
  };
  const Case cases[] = {
      {"/api/v1/pods", "Pod", "", "", ""},
      {"/api/v1/namespaces/a/pods", "Pod", "a", "", ""},
      {"/api/v1/namespaces/a/pods/b", "Pod", "a", "b", ""},
      {"/api/v1/namespaces/a/pods/b/binding", "Pod", "a", "b", "binding"},
      {"/api/v1/nodes/n1", "Node", "", "n1", ""},
      {"/api/v1/nodes/n1/status", "Node", "", "n1", "status"},
      {"/api/v1/namespaces", "Namespace", "", "", ""},
      {"/api/v1/namespaces/a", "Namespace", "", "a", ""},
      {"/api/v1/namespaces/a/status", "Namespace", "", "a", "status"},
      {"/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "Lease", "a", "l", ""},
      {"/apis/events.k8s.io/v1/events", "Event", "", "", ""},
      {"/apis/node.k8s.io/v1/runtimeclasses/nvidia", "RuntimeClass", "", "nvidia", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.path);
    const auto target = ParseTarget(c.path);
    ASSERT_TRUE(target);
    EXPECT_EQ(target->resource->kind, c.kind);
    EXPECT_EQ(target->ns, c.ns);
    EXPECT_EQ(target->name, c.name);
    EXPECT_EQ(target->subresource, c.subresource);
  }
}

TEST(ParseTarget, OtherPathsMeanNothing) {
  for (const char* path :
       {"", "/", "/api", "/api/v1", "/api/v1/", "/api/v2/pods", "/api/v1/unknown",
        "/apis/apps/pods", "/api/v1//pods", "/api/v1/pods/", "/api/v1/pods/p",
        "/api/v1/namespaces/a/nodes", "/api/v1/namespaces/a/pods/b/log/x", "/apis/apps/v1/pods",
        "/metrics", "api/v1/pods"}) {
    EXPECT_FALSE(ParseTarget(path)) << path;
  }
}

TEST(Resource, ApiVersionHasTheGroupIfThereIsOne) {
  EXPECT_EQ(FindResource("", "v1", "pods")->ApiVersion(), "v1");
  EXPECT_EQ(FindResource("coordination.k8s.io", "v1", "leases")->ApiVersion(),
            "coordination.k8s.io/v1");
  EXPECT_EQ(FindResource("", "v1", "leases"), nullptr);
}

}  // namespace
}  // namespace tessera::sim
