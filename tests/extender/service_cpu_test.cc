// The extender's knowledge of CPU, from the API server to the order of nodes.
#include <atomic>

#include <gmock/gmock.h>

#include "extender/other_pods.h"
#include "extender/workload_file.h"
#include "tests/extender/service_fixture.h"
#include "tests/sim/temp_folder.h"

namespace tessera::extender {
namespace {

using testing::HasSubstr;

/// Nodes "a" and "b" with two GPUs and 16 cores, where every GPU is asked for with 8 cores.
class ServiceCpuTest : public ServiceTest {
 protected:
  void SetUp() override {
    for (const std::string node : {"a", "b"}) {
      ASSERT_TRUE(
          client_->Post("/api/v1/nodes", R"({"metadata":{"name":")" + node +
                                             R"(","annotations":{"tessera.dev/inventory":)" +
                                             Quoted(contract::EncodeInventory(Gpus(node, 2))) +
                                             R"(}},"status":{"allocatable":{"cpu":"16"}}})"));
    }
    options_.workload_file = (folder_.path() / "workload").string();
    WriteWorkload(options_.workload_file,
                  "models 0\ntessera-demand 1\n8000 1 1000 1000 18446744073709551615 1000\n");
    CreatePod("p");
  }
  /// A DaemonSet's pod that takes 6 cores of node "b".
  void CreateOther(const std::string& name) {
    ASSERT_TRUE(
        client_->Post("/api/v1/namespaces/kube-system/pods",
                      R"({"metadata":{"name":")" + name +
                          R"("},"spec":{"nodeName":"b","containers":[{"name":"c","image":"x",)"
                          R"("resources":{"requests":{"cpu":"6"}}}]}})"));
  }
  std::string OtherPath(const std::string& name) {
    return "/api/v1/namespaces/kube-system/pods/" + name;
  }
  /// True if the pod, which needs no CPU, is sent to `node` first.
  bool Prefers(Running& running, const std::string& node) {
    const auto answer =
        running.Post("filter", "{\"Pod\":" + json::Dump(client_->Get(Path("p")).value()) +
                                   R"(,"Nodes":null,"NodeNames":["a","b"]})");
    EXPECT_THAT(answer, HasSubstr("\"a\"")) << "both fit";
    EXPECT_THAT(answer, HasSubstr("\"b\"")) << "both fit";
    return answer.find("\"NodeNames\":[\"" + node + "\"") != std::string::npos;
  }

  sim::TempFolder folder_;
  ServiceOptions options_;
};

TEST_F(ServiceCpuTest, CpuOfOtherPodsIsSeenAndIsFreeAgainWhenTheyEndOrGo) {
  const auto running = Run(options_);
  EXPECT_TRUE(Prefers(*running, "a")) << "the first of like nodes";
  const auto tight = [&] { return Prefers(*running, "b"); };
  const auto roomy = [&] { return Prefers(*running, "a"); };
  CreateOther("daemon");
  EXPECT_TRUE(Soon(tight)) << "b lacks CPU for its second GPU: p may have it";
  ASSERT_TRUE(client_->Delete(OtherPath("daemon") + "?gracePeriodSeconds=0"));
  EXPECT_TRUE(Soon(roomy));
  CreateOther("job");
  EXPECT_TRUE(Soon(tight));
  ASSERT_TRUE(client_->Patch(OtherPath("job") + "/status", kube::PatchType::kMerge,
                             R"({"status":{"phase":"Succeeded"}})"));
  EXPECT_TRUE(Soon(roomy));
  CreateOther("labelled");
  EXPECT_TRUE(Soon(tight));
  ASSERT_TRUE(client_->Patch(OtherPath("labelled"), kube::PatchType::kMerge,
                             R"({"metadata":{"labels":{"tessera.dev/managed":"true"}}})"));
  EXPECT_TRUE(Soon(roomy)) << "it left this watch";
}

TEST_F(ServiceCpuTest, WhatRanBeforeTheStartIsListed) {
  CreateOther("daemon");
  const auto running = Run(options_);
  EXPECT_TRUE(Soon([&] { return Prefers(*running, "b"); }));
}

/// A client that may not list or watch other pods.
class WithoutOthers : public kube::Client {
 public:
  explicit WithoutOthers(std::unique_ptr<kube::Client> client) : client_(std::move(client)) {}
  Result<rapidjson::Document> Get(const std::string& path) override { return client_->Get(path); }
  Result<kube::ListResult> List(const std::string& path) override {
    if (path == kOtherPodsPath) {
      ++refused_;
      return Fail(Errc::kInvalidArgument, "forbidden");
    }
    return client_->List(path);
  }
  Result<rapidjson::Document> Post(const std::string& path, const std::string& body) override {
    return client_->Post(path, body);
  }
  Result<rapidjson::Document> Put(const std::string& path, const std::string& body) override {
    return client_->Put(path, body);
  }
  Result<rapidjson::Document> Patch(const std::string& path, kube::PatchType type,
                                    const std::string& body) override {
    return client_->Patch(path, type, body);
  }
  Result<void> Delete(const std::string& path) override { return client_->Delete(path); }
  Result<void> Watch(const std::string& path, const std::string& version,
                     const std::function<void(kube::WatchEvent&)>& on_event,
                     std::stop_token stop) override {
    return client_->Watch(path, version, on_event, stop);
  }
  void Shutdown() override { client_->Shutdown(); }
  int refused() const { return refused_; }

 private:
  std::unique_ptr<kube::Client> client_;
  std::atomic<int> refused_ = 0;
};

TEST_F(ServiceCpuTest, NobodyWaitsForOtherPodsThatCannotBeWatched) {
  CreateOther("daemon");
  auto client = std::make_unique<WithoutOthers>(MakeClient());
  const WithoutOthers& watch = *client;
  const auto running = Run(std::move(client), options_);
  EXPECT_TRUE(Soon([&] { return watch.refused() > 1; })) << "it is tried again";
  EXPECT_TRUE(Prefers(*running, "a")) << "what is known is that nothing runs there";
  EXPECT_EQ(Bind(*running, "p", "a"), kBound);
}

TEST_F(ServiceCpuTest, OtherPodsAreNotAskedForWhereThatIsSwitchedOff) {
  CreateOther("daemon");
  options_.watch_other_pods = false;
  const auto running = Run(options_);
  EXPECT_TRUE(Prefers(*running, "a"));
  for (const auto& request : api_->journal().All()) {
    const auto selector = request.query.find("labelSelector");
    if (selector != request.query.end()) {
      EXPECT_EQ(selector->second, "tessera.dev/managed=true");
    }
  }
}

}  // namespace
}  // namespace tessera::extender
