#include "sim/kube/api_server.h"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/kube/cluster.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

class ApiServerTest : public ClusterTest {};

TEST_F(ApiServerTest, AnObjectLivesItsLife) {
  const std::string path = "/api/v1/nodes/n1";
  ASSERT_TRUE(client_->Post("/api/v1/nodes",
                            R"({"metadata":{"name":"n1"},"status":{"capacity":{"cpu":"4"}}})"));
  EXPECT_EQ(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})").error().code,
            Errc::kConflict);
  EXPECT_EQ(Text(path, {"kind"}), "Node");
  EXPECT_EQ(Text(path, {"status", "capacity", "cpu"}), "4")
      << "a kubelet registers with its status";
  EXPECT_NE(Text(path, {"metadata", "uid"}), "");
  EXPECT_THAT(Text(path, {"metadata", "creationTimestamp"}),
              testing::MatchesRegex("20..-..-..T..:..:..Z"));
  ASSERT_TRUE(
      client_->Patch(path, kube::PatchType::kMerge, R"({"metadata":{"annotations":{"a":"1"}}})"));
  ASSERT_TRUE(client_->Patch(path + "/status", kube::PatchType::kMerge,
                             R"({"status":{"capacity":{"cpu":"8"}}})"));
  EXPECT_EQ(Text(path, {"metadata", "annotations", "a"}), "1");
  EXPECT_EQ(Text(path, {"status", "capacity", "cpu"}), "8");
  ASSERT_TRUE(client_->Delete(path));
  EXPECT_EQ(client_->Get(path).error().code, Errc::kNotFound);
  EXPECT_THAT(client_->Get(path).error().message, HasSubstr("nodes \"n1\" not found"));
}

TEST_F(ApiServerTest, PutRefusesAnOldVersion) {
  ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})"));
  auto node = client_->Get("/api/v1/nodes/n1").value();
  const std::string old = json::Dump(node);
  ASSERT_TRUE(client_->Patch("/api/v1/nodes/n1", kube::PatchType::kMerge,
                             R"({"metadata":{"labels":{"a":"1"}}})"));
  const auto failed = client_->Put("/api/v1/nodes/n1", old);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kConflict);
  EXPECT_THAT(failed.error().message, HasSubstr("the object has been modified"));
  EXPECT_TRUE(client_->Put("/api/v1/nodes/n1", R"({"metadata":{"name":"n1"}})"))
      << "no version: no check";
}

TEST_F(ApiServerTest, JsonPatchWorksAndFailsAsAWhole) {
  ASSERT_TRUE(
      client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1","annotations":{"a":"1"}}})"));
  EXPECT_TRUE(client_->Patch("/api/v1/nodes/n1", kube::PatchType::kJson,
                             R"([{"op":"test","path":"/metadata/annotations/a","value":"1"},
                                 {"op":"add","path":"/metadata/annotations/x~1y","value":"2"}])"));
  EXPECT_EQ(Text("/api/v1/nodes/n1", {"metadata", "annotations", "x/y"}), "2");
  const auto failed = client_->Patch("/api/v1/nodes/n1", kube::PatchType::kJson,
                                     R"([{"op":"remove","path":"/metadata/annotations/a"},
                                         {"op":"test","path":"/metadata/name","value":"n2"}])");
  EXPECT_EQ(failed.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(Text("/api/v1/nodes/n1", {"metadata", "annotations", "a"}), "1");
}

TEST_F(ApiServerTest, ListsWithSelectorsInPages) {
  for (int i = 0; i < 7; ++i) {
    const std::string labels =
        R"(,"labels":{"parity":")" + std::string(i % 2 == 0 ? "even" : "odd") + "\"}";
    ASSERT_TRUE(client_->Post(kPods, PodJson("p" + std::to_string(i), labels)));
  }
  ASSERT_TRUE(client_->Post(std::string(kPods) + "/p1/binding", BindingJson("p1", "n1")));
  EXPECT_EQ(client_->List("/api/v1/pods")->items.Size(), 7U);
  EXPECT_EQ(client_->List("/api/v1/pods?labelSelector=parity%3Dodd")->items.Size(), 3U);
  EXPECT_EQ(client_->List("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")->items.Size(), 1U);
  EXPECT_EQ(client_->List("/api/v1/pods?fieldSelector=spec.nodeName%3D")->items.Size(), 6U);
  EXPECT_EQ(client_->List("/api/v1/pods?fieldSelector=status.phase%21%3DPending")->items.Size(),
            0U);
  EXPECT_EQ(client_->List("/api/v1/namespaces/kube-system/pods")->items.Size(), 0U);
  const auto page = client_->Get(std::string(kPods) + "?limit=5").value();
  EXPECT_EQ(json::Find(page, "items")->Size(), 5U);
  const std::string next = json::GetString(*json::Find(page, "metadata"), "continue").value();
  const auto rest = client_->Get(std::string(kPods) + "?limit=5&continue=" + next).value();
  EXPECT_EQ(json::Find(rest, "items")->Size(), 2U);
  ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})"));
  api_->Compact();
  EXPECT_EQ(client_->Get(std::string(kPods) + "?limit=5&continue=" + next).error().code,
            Errc::kGone);
  EXPECT_EQ(client_->Get("/api/v1/pods?fieldSelector=spec.unknown%3D1").error().code,
            Errc::kInvalidArgument);
}

TEST_F(ApiServerTest, BindingMergesAnnotationsAndHappensOnce) {
  ASSERT_TRUE(client_->Post(kPods, PodJson("p", R"(,"annotations":{"mine":"1"})")));
  const std::string path = std::string(kPods) + "/p";
  const std::string uid = Text(path, {"metadata", "uid"});
  const auto wrong =
      client_->Post(path + "/binding", BindingJson("p", "n1", R"(,"uid":"another")"));
  EXPECT_EQ(wrong.error().code, Errc::kConflict);
  EXPECT_THAT(wrong.error().message,
              HasSubstr("Precondition failed: UID in precondition: another"));
  ASSERT_TRUE(client_->Post(
      path + "/binding",
      BindingJson("p", "n1",
                  R"(,"uid":")" + uid + R"(","annotations":{"tessera.dev/assignment":"x"})")));
  EXPECT_EQ(Text(path, {"spec", "nodeName"}), "n1");
  EXPECT_EQ(Text(path, {"metadata", "annotations", "tessera.dev/assignment"}), "x");
  EXPECT_EQ(Text(path, {"metadata", "annotations", "mine"}), "1");
  const auto again = client_->Post(path + "/binding", BindingJson("p", "n2"));
  EXPECT_EQ(again.error().code, Errc::kConflict);
  EXPECT_THAT(again.error().message, HasSubstr("already assigned to node \"n1\""));
}

TEST_F(ApiServerTest, OfConcurrentBindsExactlyOneWins) {
  ASSERT_TRUE(client_->Post(kPods, PodJson("p")));
  constexpr int kThreads = 8;
  std::atomic<int> won{0};
  std::atomic<int> conflicts{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        const std::string node = "n" + std::to_string(i);
        const auto bound =
            client_->Post(std::string(kPods) + "/p/binding",
                          BindingJson("p", node, R"(,"annotations":{"winner":")" + node + "\"}"));
        if (bound) ++won;
        if (!bound && bound.error().code == Errc::kConflict) ++conflicts;
      });
    }
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(conflicts, kThreads - 1);
  const std::string path = std::string(kPods) + "/p";
  EXPECT_EQ(Text(path, {"spec", "nodeName"}), Text(path, {"metadata", "annotations", "winner"}));
}

TEST_F(ApiServerTest, APodOnANodeIsDeletedByItsKubelet) {
  ASSERT_TRUE(client_->Post(kPods, PodJson("p")));
  const std::string path = std::string(kPods) + "/p";
  ASSERT_TRUE(client_->Post(path + "/binding", BindingJson("p", "n1")));
  ASSERT_TRUE(client_->Delete(path));
  EXPECT_NE(Text(path, {"metadata", "deletionTimestamp"}), "");
  ASSERT_TRUE(client_->Delete(path + "?gracePeriodSeconds=0"));
  EXPECT_EQ(client_->Get(path).error().code, Errc::kNotFound);
}

TEST_F(ApiServerTest, AdmissionMayChangeOrRefuse) {
  api_->SetAdmission(
      [](const AdmissionRequest& request, rapidjson::Document& object) -> Reply<void> {
        if (request.target.resource->plural != "pods") return {};
        const auto* name = json::FindPath(object, {"metadata", "name"});
        if (json::View(*name) == "bad") {
          return Refuse(403, "Forbidden", "admission webhook \"x\" denied the request: no");
        }
        object.FindMember("spec")->value.AddMember("schedulerName", "tessera-scheduler",
                                                   object.GetAllocator());
        return {};
      });
  ASSERT_TRUE(client_->Post(kPods, PodJson("good")));
  EXPECT_EQ(Text(std::string(kPods) + "/good", {"spec", "schedulerName"}), "tessera-scheduler");
  const auto refused = client_->Post(kPods, PodJson("bad"));
  EXPECT_THAT(refused.error().message, HasSubstr("403 Forbidden: admission webhook"));
  EXPECT_EQ(client_->Get(std::string(kPods) + "/bad").error().code, Errc::kNotFound);
}

TEST_F(ApiServerTest, ADryRunChecksAndKeepsNothing) {
  ASSERT_TRUE(client_->Post(std::string(kPods) + "?dryRun=All", PodJson("p")));
  EXPECT_FALSE(client_->Get(std::string(kPods) + "/p"));
  EXPECT_FALSE(client_->Post(std::string(kPods) + "?dryRun=All", R"({"metadata":{"name":"p"}})"));
}

TEST_F(ApiServerTest, WhatIsNotServedIs404AndWrongMethods405) {
  EXPECT_EQ(client_->Get("/api/v1/unknowns").error().code, Errc::kNotFound);
  EXPECT_EQ(client_->Get("/apis/nobody.example/v1/things").error().code, Errc::kNotFound);
  EXPECT_EQ(client_->Post(std::string(kPods) + "/p/exec", "{}").error().code, Errc::kNotFound);
  EXPECT_THAT(client_->Delete(kPods).error().message, HasSubstr("405"));
  EXPECT_THAT(client_->Post("/api/v1/pods", PodJson("p")).error().message, HasSubstr("405"));
  EXPECT_THAT(client_->Post("/api/v1/namespaces/nowhere/pods", PodJson("p")).error().message,
              HasSubstr("namespaces \"nowhere\" not found"));
}

TEST_F(ApiServerTest, LeasesEventsAndVersionAreThere) {
  EXPECT_TRUE(client_->Post("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
                            R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"me"}})"));
  EXPECT_TRUE(
      client_->Post("/apis/events.k8s.io/v1/namespaces/default/events",
                    R"({"metadata":{"generateName":"e-"},"regarding":{"name":"p"},"reason":"R"})"));
  EXPECT_EQ(
      client_->List("/apis/events.k8s.io/v1/events?fieldSelector=regarding.name%3Dp")->items.Size(),
      1U);
  EXPECT_EQ(Text("/version", {"gitVersion"}), "v1.36.0+tessera-sim");
  EXPECT_EQ(Text("/version", {"minor"}), "36");
}

TEST_F(ApiServerTest, FaultsHitTheNextRequestsOfTheirKind) {
  api_->faults().Add({.kind = Fault::Kind::kAnswer,
                      .method = "POST",
                      .path = ".*/binding",
                      .times = 2,
                      .code = 409});
  ASSERT_TRUE(client_->Post(kPods, PodJson("p")));
  const std::string binding = std::string(kPods) + "/p/binding";
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(client_->Post(binding, BindingJson("p", "n1")).error().code, Errc::kConflict);
  }
  api_->faults().Add({.kind = Fault::Kind::kDropAfter, .method = "POST", .path = ".*/binding"});
  EXPECT_EQ(client_->Post(binding, BindingJson("p", "n1")).error().code, Errc::kUnavailable);
  EXPECT_EQ(Text(std::string(kPods) + "/p", {"spec", "nodeName"}), "n1")
      << "it happened, but the answer was lost";
  api_->faults().Add({.kind = Fault::Kind::kDrop, .method = "GET"});
  EXPECT_TRUE(client_->Get("/api/v1/nodes")) << "the client asks again";
  EXPECT_EQ(api_->journal().Count("POST", binding), 3U);
  EXPECT_EQ(api_->journal().Count("GET", "/api/v1/nodes"), 2U);
  EXPECT_EQ(api_->journal().All().front().user, "tester");
}

TEST_F(ApiServerTest, WithoutItsCertificateNobodyIsAnswered) {
  auto config = kube::ParseKubeconfig(api_->Kubeconfig("tester").value(), "test").value();
  config.client_cert_data.clear();
  config.client_key_data.clear();
  config.retry.max_attempts = 1;
  EXPECT_EQ(kube::MakeClient(config, clock_)->Get("/version").error().code, Errc::kUnavailable);
}

TEST_F(ApiServerTest, GarbageIsRefusedAndHarmless) {
  for (const char* body :
       {"", "[", "[]", "1", "{}", R"({"metadata":[]})", R"({"metadata":{"name":{}}})",
        R"({"metadata":{"name":"a/b"}})", R"({"metadata":{"name":"a","labels":{"x":1}}})",
        R"({"kind":"Node","metadata":{"name":"a"}})",
        R"({"metadata":{"name":"a","namespace":"other"}})", R"({"metadata":{"name":"a"},"spec":7})",
        R"({"metadata":{"name":"a"},"spec":{"containers":[7]}})",
        R"({"metadata":{"name":"a"},"spec":{"containers":[{"name":"x"},{"name":"x"}]}})"}) {
    SCOPED_TRACE(body);
    const auto refused = client_->Post(kPods, body);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
  }
  ASSERT_TRUE(client_->Post(kPods, PodJson("p")));
  const std::string path = std::string(kPods) + "/p";
  EXPECT_FALSE(client_->Post(path + "/binding", "[]"));
  EXPECT_FALSE(client_->Post(path + "/binding", "{}"));
  EXPECT_FALSE(client_->Patch(path, kube::PatchType::kMerge, "[]"));
  EXPECT_FALSE(client_->Patch(path, kube::PatchType::kJson, "{}"));
  EXPECT_FALSE(client_->Put(path, "[]"));
  EXPECT_FALSE(
      client_->Patch(path, kube::PatchType::kJson, R"([{"op":"replace","path":"","value":7}])"));
  EXPECT_EQ(client_->List("/api/v1/pods")->items.Size(), 1U);
}

}  // namespace
}  // namespace tessera::sim
