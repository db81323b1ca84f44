#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "common/json/json.h"
#include "common/kube/client.h"
#include "common/kube/kubeconfig.h"
#include "sim/kube/api_server.h"

namespace tessera::sim {

inline std::string PodJson(const std::string& name, const std::string& more_metadata = "") {
  return R"({"metadata":{"name":")" + name + "\"" + more_metadata +
         R"(},"spec":{"containers":[{"name":"main","image":"x"}]}})";
}

inline std::string BindingJson(const std::string& pod, const std::string& node,
                               const std::string& more_metadata = "") {
  return R"({"apiVersion":"v1","kind":"Binding","metadata":{"name":")" + pod + "\"" +
         more_metadata + R"(},"target":{"kind":"Node","name":")" + node + "\"}}";
}

inline constexpr const char* kPods = "/api/v1/namespaces/default/pods";

/// A running API server and a client of it.
class ClusterTest : public testing::Test {
 protected:
  explicit ClusterTest(const ApiServerOptions& options = {})
      : api_(ApiServer::Start(options).value()) {}

  std::unique_ptr<kube::Client> MakeClient() {
    auto config = kube::ParseKubeconfig(api_->Kubeconfig("tester").value(), "test").value();
    config.user_agent = "tessera-test/1";
    config.qps = 0;
    config.retry = {.base = std::chrono::milliseconds(1), .max = std::chrono::milliseconds(5)};
    return kube::MakeClient(std::move(config), clock_);
  }
  /// The text at a path of an object that must be there.
  std::string Text(const std::string& path, std::initializer_list<std::string_view> field) {
    const auto object = client_->Get(path);
    EXPECT_TRUE(object) << object.error().message;
    if (!object) return {};
    const auto* value = json::FindPath(*object, field);
    return value != nullptr && value->IsString() ? std::string(json::View(*value)) : std::string();
  }

  SystemClock clock_;
  std::unique_ptr<ApiServer> api_;
  std::unique_ptr<kube::Client> client_ = MakeClient();
};

}  // namespace tessera::sim
