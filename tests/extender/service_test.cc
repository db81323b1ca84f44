// The whole extender against an API server, over real sockets, as kube-scheduler uses it.
#include "extender/service.h"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>

#include "common/http/client.h"
#include "extender/other_pods.h"
#include "extender/workload_file.h"
#include "sim/kube/pki.h"
#include "tests/common/http/test_client.h"
#include "tests/extender/build.h"
#include "tests/sim/kube/cluster.h"
#include "tests/sim/temp_folder.h"

namespace tessera::extender {
namespace {

using testing::HasSubstr;

std::string Quoted(const std::string& text) {
  json::Writer writer;
  writer.String(text);
  return writer.Take();
}

/// True as soon as `check` is; false if it never is.
template <typename Check>
bool Soon(Check check) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!check()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// One running extender and a scheduler's connection to it.
class Running {
 public:
  Running(std::unique_ptr<kube::Client> watch, std::unique_ptr<kube::Client> bind,
          const Clock& clock, const ServiceOptions& options)
      : watch_(std::move(watch)),
        bind_(std::move(bind)),
        service_(*watch_, *bind_, clock, options) {
    const auto port = service_.Start();
    EXPECT_TRUE(port) << port.error().message;
    http_ = std::make_unique<http::Client>(
        http::ClientOptions{.base_url = "http://127.0.0.1:" + std::to_string(*port),
                            .ca_file = "",
                            .cert_file = "",
                            .key_file = ""});
  }
  bool Ready() {
    return Soon([&] { return http_->Get("/readyz")->status == 200; });
  }
  std::string Post(const std::string& verb, const std::string& body) {
    const auto answer = http_->Post("/" + verb, body);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? answer->body : "";
  }
  std::string Metrics() { return http_->Get("/metrics")->body; }

 private:
  std::unique_ptr<kube::Client> watch_;
  std::unique_ptr<kube::Client> bind_;
  Service service_;
  std::unique_ptr<http::Client> http_;
};

class ServiceTest : public sim::ClusterTest {
 protected:
  void SetUp() override {
    const std::string inventory = Quoted(contract::EncodeInventory(Gpus("n", 1)));
    ASSERT_TRUE(client_->Post(
        "/api/v1/nodes", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n","annotations":)"
                         R"({"tessera.dev/inventory":)" +
                             inventory + "}}}"));
  }
  std::unique_ptr<Running> Run(const ServiceOptions& options = {}) {
    return Run(MakeClient(), options);
  }
  std::unique_ptr<Running> Run(std::unique_ptr<kube::Client> watch, const ServiceOptions& options) {
    auto running = std::make_unique<Running>(std::move(watch), MakeClient(), clock_, options);
    EXPECT_TRUE(running->Ready());
    return running;
  }
  void CreatePod(const std::string& name) {
    const auto created = client_->Post(
        sim::kPods, R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                        R"(","labels":{"tessera.dev/managed":"true"}},"spec":)"
                        R"({"containers":[{"name":"c","image":"x","resources":{"limits":)"
                        R"({"tessera.dev/gpu-memory":"600","tessera.dev/gpu-cores":"50"},)"
                        R"("requests":{"tessera.dev/gpu-memory":"600",)"
                        R"("tessera.dev/gpu-cores":"50"}}}]}})");
    ASSERT_TRUE(created) << created.error().message;
  }
  std::string Path(const std::string& pod) { return std::string(sim::kPods) + "/" + pod; }
  std::string Filter(Running& running, const std::string& pod) {
    return running.Post("filter", "{\"Pod\":" + json::Dump(client_->Get(Path(pod)).value()) +
                                      R"(,"Nodes":null,"NodeNames":["n"]})");
  }
  std::string Bind(Running& running, const std::string& pod, const std::string& node = "n") {
    return running.Post("bind",
                        R"({"PodName":")" + pod + R"(","PodNamespace":"default","PodUID":")" +
                            Text(Path(pod), {"metadata", "uid"}) + R"(","Node":")" + node + "\"}");
  }
};

constexpr const char* kPasses = R"("NodeNames":["n"])";
constexpr const char* kBound = R"({"Error":""})";

TEST_F(ServiceTest, BindsAPodAndRefusesTheOneThatDoesNotFitAnyMore) {
  const auto running = Run();
  CreatePod("p");
  CreatePod("q");
  EXPECT_THAT(Filter(*running, "p"), HasSubstr(kPasses));
  EXPECT_EQ(Bind(*running, "p"), kBound);
  EXPECT_EQ(Text(Path("p"), {"spec", "nodeName"}), "n");
  EXPECT_EQ(Text(Path("p"), {"metadata", "annotations", "tessera.dev/c0-limits"}),
            "v1 fixed-share n-0:600:50");
  EXPECT_THAT(Filter(*running, "q"),
              HasSubstr("insufficient GPU memory: 600 MiB asked, at most 400 MiB free"));
  EXPECT_THAT(Bind(*running, "q"), HasSubstr("no room any more"));
  EXPECT_EQ(Text(Path("q"), {"spec", "nodeName"}), "");
  EXPECT_THAT(
      running->Metrics(),
      HasSubstr(
          "tessera_extender_gpu_memory_allocated_bytes{node=\"n\",gpu_uuid=\"n-0\"} 629145600"));
}

TEST_F(ServiceTest, ARestartKnowsWhatWasBound) {
  CreatePod("p");
  CreatePod("q");
  {
    const auto running = Run();
    EXPECT_EQ(Bind(*running, "p"), kBound);
  }
  const auto running = Run();
  EXPECT_THAT(Filter(*running, "q"), HasSubstr("insufficient GPU memory"));
  EXPECT_EQ(Bind(*running, "p"), kBound) << "again, after a restart";
}

TEST_F(ServiceTest, GpusOfEndedAndDeletedPodsAreFreeAgainThoughTheWatchWasCut) {
  const auto running = Run();
  CreatePod("p");
  CreatePod("q");
  EXPECT_EQ(Bind(*running, "p"), kBound);
  EXPECT_THAT(Filter(*running, "q"), HasSubstr("insufficient GPU memory"));
  api_->CutWatches();
  ASSERT_TRUE(client_->Patch(Path("p") + "/status", kube::PatchType::kMerge,
                             R"({"status":{"phase":"Succeeded"}})"));
  EXPECT_TRUE(Soon([&] { return Filter(*running, "q").find(kPasses) != std::string::npos; }));
  EXPECT_EQ(Bind(*running, "q"), kBound);
  CreatePod("r");
  api_->ExpireWatches();
  ASSERT_TRUE(client_->Delete(Path("q") + "?gracePeriodSeconds=0"));
  EXPECT_TRUE(Soon([&] { return Filter(*running, "r").find(kPasses) != std::string::npos; }));
}

TEST_F(ServiceTest, ALostAnswerToTheBindingIsFoundOut) {
  const auto running = Run();
  CreatePod("p");
  api_->faults().Add(
      {.kind = sim::Fault::Kind::kDropAfter, .method = "POST", .path = ".*/binding"});
  EXPECT_EQ(Bind(*running, "p"), kBound);
  EXPECT_EQ(Text(Path("p"), {"spec", "nodeName"}), "n");
  EXPECT_EQ(api_->journal().Count("POST", ".*/p/binding"), 1u);
}

TEST_F(ServiceTest, ABrokenServerGetsAnErrorAndTheNextBindSucceeds) {
  const auto running = Run();
  CreatePod("p");
  api_->faults().Add({.method = "POST", .path = ".*/binding", .times = 1, .code = 500});
  EXPECT_NE(Bind(*running, "p"), kBound);
  EXPECT_THAT(Filter(*running, "p"), HasSubstr(kPasses)) << "back to the node whose GPUs it holds";
  EXPECT_EQ(Bind(*running, "p"), kBound);
}

TEST_F(ServiceTest, OneWriteAPod) {
  const auto running = Run();
  CreatePod("p");
  Filter(*running, "p");
  api_->journal().Clear();
  EXPECT_EQ(Bind(*running, "p"), kBound);
  EXPECT_EQ(api_->journal().Count("POST", ".*"), 1u);
  EXPECT_EQ(api_->journal().Count("PATCH", ".*") + api_->journal().Count("PUT", ".*"), 0u);
}

class ListenersTest : public ServiceTest {
 protected:
  static http::ClientOptions To(const std::string& scheme, int port) {
    return {.base_url = scheme + "://127.0.0.1:" + std::to_string(port),
            .ca_file = "",
            .cert_file = "",
            .key_file = ""};
  }
  /// Mutual TLS for the verbs, a second listener for health and metrics.
  ServiceOptions Options() const {
    const auto pair = ca_.Issue({.common_name = "extender", .names = {"127.0.0.1"}}).value();
    return {.http = {.cert_file = dir_.Write("tls.crt", pair.cert_pem),
                     .key_file = dir_.Write("tls.key", pair.key_pem),
                     .client_ca_file = ca_file_},
            .metrics_http = http::ServerOptions{}};
  }
  http::ClientOptions Scheduler(int port) const {
    const auto pair = ca_.Issue({.common_name = "scheduler"}).value();
    auto options = To("https", port);
    options.ca_file = ca_file_;
    options.cert_file = dir_.Write("client.crt", pair.cert_pem);
    options.key_file = dir_.Write("client.key", pair.key_pem);
    return options;
  }

  const http::TempDir dir_;
  const sim::CertificateAuthority ca_ = sim::CertificateAuthority::Create("ca").value();
  const std::string ca_file_ = dir_.Write("ca.crt", ca_.cert_pem());
  const std::unique_ptr<kube::Client> watch_ = MakeClient();
  const std::unique_ptr<kube::Client> bind_ = MakeClient();
};

TEST_F(ListenersTest, ProbesAndScrapesNeedNoCertificateAndReachNoVerb) {
  Service service(*watch_, *bind_, clock_, Options());
  const int port = service.Start().value();
  http::Client probe(To("http", service.metrics_port()));
  EXPECT_TRUE(Soon([&] { return probe.Get("/readyz")->status == 200; }));
  EXPECT_EQ(probe.Get("/livez")->status, 200);
  for (const char* verb : {"/filter", "/prioritize", "/bind"}) {
    EXPECT_EQ(probe.Post(verb, "{}")->status, 404) << verb;
  }
  http::Client scheduler(Scheduler(port));
  EXPECT_EQ(scheduler.Post("/filter", "{}")->status, 200);
  EXPECT_THAT(probe.Get("/metrics")->body,
              HasSubstr("tessera_extender_requests_total{result=\"error\",verb=\"filter\"} 1"))
      << "what the other listener did";
  auto nameless = To("https", port);
  nameless.ca_file = ca_file_;
  EXPECT_FALSE(http::Client(nameless).Post("/bind", "{}")) << "no client certificate";
  EXPECT_FALSE(http::Client(To("http", port)).Post("/bind", "{}")) << "plain";
}

TEST_F(ListenersTest, TheSecondOneIsUnreadyUntilTheCacheIsSynced) {
  api_->faults().Add({.method = "GET", .path = "/api/v1/nodes", .code = 500});
  Service service(*watch_, *bind_, clock_, Options());
  ASSERT_TRUE(service.Start());
  const auto ready = http::Client(To("http", service.metrics_port())).Get("/readyz");
  EXPECT_EQ(ready->status, 503);
  EXPECT_THAT(ready->body, HasSubstr("[-]nodes failed: not synced"));
}

TEST_F(ListenersTest, ATakenMetricsPortIsAnErrorAtStart) {
  http::Server taken({});
  auto options = Options();
  options.metrics_http->port = taken.Start().value();
  Service service(*watch_, *bind_, clock_, options);
  const auto started = service.Start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr(std::to_string(options.metrics_http->port)));
}

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
