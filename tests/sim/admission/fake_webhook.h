#pragma once

#include <memory>
#include <string>

#include "common/http/server.h"
#include "common/json/json.h"
#include "sim/kube/pki.h"
#include "sim/object.h"
#include "tests/sim/temp_folder.h"

namespace tessera::sim {

/// A webhook over TLS that answers what the test wants.
class FakeWebhook {
 public:
  FakeWebhook() {
    const auto pair = ca_.Issue({.common_name = "webhook", .names = {"127.0.0.1"}}).value();
    std::ofstream(folder_.path() / "crt") << pair.cert_pem;
    std::ofstream(folder_.path() / "key") << pair.key_pem;
    WriteCa(ca_);
    http::ServerOptions options;
    options.cert_file = (folder_.path() / "crt").string();
    options.key_file = (folder_.path() / "key").string();
    server_ = std::make_unique<http::Server>(options);
    server_->Route("POST", "/mutate", [this](const http::Request& request) {
      http::Response response;
      const auto review = json::Parse(request.body).value();
      timeout_ = request.Query("timeout");
      response.status = status_;
      response.body =
          R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":")" +
          TextAt(review, {"request", "uid"}) + "\"," + answer_ + "}}";
      return response;
    });
    port_ = server_->Start().value();
  }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_) + "/mutate"; }
  std::string ca_file() const { return (folder_.path() / "ca").string(); }
  void Answer(const std::string& members) { answer_ = members; }
  void AnswerStatus(int status) { status_ = status; }
  void ReplaceCa() { WriteCa(CertificateAuthority::Create("other").value()); }
  void GoAway() { server_.reset(); }
  const std::string& timeout() const { return timeout_; }

 private:
  void WriteCa(const CertificateAuthority& ca) const { std::ofstream(ca_file()) << ca.cert_pem(); }

  TempFolder folder_;
  const CertificateAuthority ca_ = CertificateAuthority::Create("ca").value();
  int port_ = 0;
  // Written by the test between requests, read by the server's threads while one is answered.
  int status_ = 200;
  std::string answer_ = R"("allowed":true)";
  std::string timeout_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace tessera::sim
