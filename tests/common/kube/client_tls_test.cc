// The client over TLS: who is trusted, and who we are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kube/client.h"
#include "sim/kube/pki.h"
#include "tests/common/http/test_client.h"
#include "tests/common/kube/scripted_server.h"

namespace tessera::kube {
namespace {

using sim::CertificateAuthority;
using testing::HasSubstr;

class ClientTlsTest : public testing::Test {
 protected:
  http::ServerOptions Options(const std::vector<std::string>& names, bool mutual) {
    const auto pair = ca_.Issue({.common_name = "server", .names = names}).value();
    http::ServerOptions options;
    options.cert_file = dir_.Write("tls.crt", pair.cert_pem);
    options.key_file = dir_.Write("tls.key", pair.key_pem);
    if (mutual) options.client_ca_file = dir_.Write("client-ca.crt", ca_.cert_pem());
    return options;
  }
  Result<rapidjson::Document> Get(const Config& config) {
    return MakeClient(config, clock_)->Get("/a");
  }

  SystemClock clock_;
  http::TempDir dir_;
  const CertificateAuthority ca_ = CertificateAuthority::Create("ca").value();
  const CertificateAuthority stranger_ = CertificateAuthority::Create("ca").value();
};

TEST_F(ClientTlsTest, TrustsOnlyTheGivenCa) {
  ScriptedServer server(Options({"127.0.0.1"}, false));
  Config config = server.config();
  EXPECT_EQ(Get(config).error().code, Errc::kUnavailable) << "the system's CAs do not know it";
  config.ca_data = stranger_.cert_pem();
  const auto refused = Get(config);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("certificate"));
  config.ca_data = ca_.cert_pem();
  server.Then(200, "{}");
  EXPECT_TRUE(Get(config));
  EXPECT_EQ(server.journal().size(), 1U) << "nothing was sent to a server that was not trusted";
  config.ca_data = stranger_.cert_pem();
  config.insecure_skip_tls_verify = true;
  server.Then(200, "{}");
  EXPECT_TRUE(Get(config));
}

TEST_F(ClientTlsTest, ARotatedCaFileIsSeenByTheSameClient) {
  ScriptedServer server(Options({"127.0.0.1"}, false));
  Config config = server.config();
  config.ca_file = dir_.Write("ca.crt", stranger_.cert_pem());
  const auto client = MakeClient(config, clock_);
  EXPECT_FALSE(client->Get("/a"));
  dir_.Write("ca.crt", ca_.cert_pem());
  server.Then(200, "{}");
  const auto got = client->Get("/a");
  EXPECT_TRUE(got) << got.error().message;
}

TEST_F(ClientTlsTest, ChecksTheServersNameOrTheOneItIsToldToExpect) {
  ScriptedServer server(Options({"kubernetes.example"}, false));
  Config config = server.config();
  config.ca_data = ca_.cert_pem();
  EXPECT_FALSE(Get(config)) << "the certificate is not for 127.0.0.1";
  config.tls_server_name = "kubernetes.example";
  server.Then(200, "{}");
  const auto got = Get(config);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(server.journal().at(0).Header("host"), "127.0.0.1:" + std::to_string(server.port()));
}

TEST_F(ClientTlsTest, ShowsItsCertificate) {
  ScriptedServer server(Options({"127.0.0.1"}, true));
  Config config = server.config();
  config.ca_data = ca_.cert_pem();
  EXPECT_EQ(Get(config).error().code, Errc::kUnavailable) << "none";
  const auto own = ca_.Issue({.common_name = "extender"}).value();
  config.client_cert_data = own.cert_pem;
  config.client_key_data = own.key_pem;
  server.Then(200, "{}");
  const auto got = Get(config);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(server.journal().at(0).client_name, "extender");
  const auto foreign = stranger_.Issue({.common_name = "extender"}).value();
  config.client_cert_data = foreign.cert_pem;
  config.client_key_data = foreign.key_pem;
  EXPECT_FALSE(Get(config));
}

}  // namespace
}  // namespace tessera::kube
