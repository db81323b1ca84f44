#include "sim/admission/webhook_caller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/server.h"
#include "common/json/json.h"
#include "sim/kube/pki.h"
#include "sim/object.h"
#include "tests/sim/temp_folder.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

/// A webhook over TLS that answers what the test wants.
class WebhookCallerTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto pair = ca_.Issue({.common_name = "webhook", .names = {"127.0.0.1"}}).value();
    std::ofstream(folder_.path() / "crt") << pair.cert_pem;
    std::ofstream(folder_.path() / "key") << pair.key_pem;
    std::ofstream(folder_.path() / "ca") << ca_.cert_pem();
    http::ServerOptions options;
    options.cert_file = (folder_.path() / "crt").string();
    options.key_file = (folder_.path() / "key").string();
    server_ = std::make_unique<http::Server>(options);
    server_->Route("POST", "/mutate", [this](const http::Request& request) {
      http::Response response;
      const auto review = json::Parse(request.body).value();
      EXPECT_EQ(request.Query("timeout"), "2s");
      response.status = status_;
      response.body =
          R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":")" +
          TextAt(review, {"request", "uid"}) + "\"," + answer_ + "}}";
      return response;
    });
    port_ = server_->Start().value();
  }
  AdmissionAnswer Call() {
    WebhookCaller caller("https://127.0.0.1:" + std::to_string(port_) + "/mutate",
                         (folder_.path() / "ca").string(), std::chrono::seconds(2));
    return caller.Review(json::Parse(R"({"metadata":{"name":"p"}})").value(), "team", false);
  }

  TempFolder folder_;
  const CertificateAuthority ca_ = CertificateAuthority::Create("ca").value();
  std::unique_ptr<http::Server> server_;
  int port_ = 0;
  int status_ = 200;
  std::string answer_ = R"("allowed":true)";
};

TEST_F(WebhookCallerTest, LetsThroughWhatTheWebhookAllows) {
  const AdmissionAnswer answer = Call();
  EXPECT_TRUE(answer.allowed) << answer.message;
}

TEST_F(WebhookCallerTest, ARefusalHasKubeApiserversWords) {
  answer_ = R"("allowed":false,"status":{"message":"gpu-memory: no"})";
  const AdmissionAnswer answer = Call();
  EXPECT_FALSE(answer.allowed);
  EXPECT_EQ(answer.code, 403);
  EXPECT_EQ(answer.message,
            "admission webhook \"pods.tessera.dev\" denied the request: gpu-memory: no");
}

TEST_F(WebhookCallerTest, AFailedCallLetsNothingThrough) {
  status_ = 503;
  const AdmissionAnswer busy = Call();
  EXPECT_FALSE(busy.allowed);
  EXPECT_EQ(busy.code, 500);
  EXPECT_THAT(busy.message, HasSubstr("failed calling webhook"));
  server_.reset();
  EXPECT_FALSE(Call().allowed);
}

TEST_F(WebhookCallerTest, ACertificateOfAnotherCaIsNotTrusted) {
  std::ofstream(folder_.path() / "ca") << CertificateAuthority::Create("other").value().cert_pem();
  EXPECT_EQ(Call().code, 500);
}

}  // namespace
}  // namespace tessera::sim
