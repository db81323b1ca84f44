// The whole extender against an API server, over real sockets, as kube-scheduler uses it.
#include "extender/service.h"

#include <gmock/gmock.h>

#include "sim/kube/pki.h"
#include "tests/common/http/test_client.h"
#include "tests/extender/service_fixture.h"

namespace tessera::extender {
namespace {

using testing::HasSubstr;

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
  for (const char* verb : {"/filter", "/prioritize", "/bind", "/preempt"}) {
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
  api_->faults().Add({.method = "GET", .path = "/api/v1/nodes", .times = 1000000, .code = 500});
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

}  // namespace
}  // namespace tessera::extender
