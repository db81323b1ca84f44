#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "common/http/client.h"
#include "extender/service.h"
#include "tests/extender/build.h"
#include "tests/sim/kube/cluster.h"

/// A running extender, its API server, and what kube-scheduler would send.
namespace tessera::extender {

inline std::string Quoted(const std::string& text) {
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

inline constexpr const char* kPasses = R"("NodeNames":["n"])";
inline constexpr const char* kBound = R"({"Error":""})";

}  // namespace tessera::extender
