#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/server.h"
#include "common/http/tls.h"
#include "sim/kube/pki.h"
#include "tests/common/http/test_client.h"

namespace tessera::http {
namespace {

using sim::CertificateAuthority;
using testing::HasSubstr;

class ServerTlsTest : public testing::Test {
 protected:
  /// A new serving certificate at the same paths.
  void WriteServerCertificate() {
    const auto pair =
        ca_.Issue({.common_name = "server", .names = {"127.0.0.1", "localhost"}}).value();
    options_.cert_file = dir_.Write("tls.crt", pair.cert_pem);
    options_.key_file = dir_.Write("tls.key", pair.key_pem);
  }
  ClientTls Client(const CertificateAuthority& ca, const std::string& name) {
    const auto pair = ca.Issue({.common_name = name}).value();
    return {.ca_file = ca_file_,
            .cert_file = dir_.Write(name + ".crt", pair.cert_pem),
            .key_file = dir_.Write(name + ".key", pair.key_pem)};
  }

  TempDir dir_;
  const CertificateAuthority ca_ = CertificateAuthority::Create("test-ca").value();
  const std::string ca_file_ = dir_.Write("ca.crt", ca_.cert_pem());
  ServerOptions options_{.certificate_check_interval = std::chrono::milliseconds(0)};
};

TEST_F(ServerTlsTest, ServesOverTls) {
  WriteServerCertificate();
  Server server(options_);
  server.Route("POST", "/echo", [](const Request& r) { return Response{.body = r.body}; });
  TestClient client(server.Start().value(), ClientTls{ca_file_});
  ASSERT_TRUE(client.connected());
  const std::string large(300'000, 'x');
  EXPECT_EQ(client.Post("/echo", large).body, large);
  EXPECT_EQ(client.Get("/livez").status, 200);
}

TEST_F(ServerTlsTest, AClientThatNeverShakesHandsDelaysNobody) {
  WriteServerCertificate();
  Server server(options_);
  const int port = server.Start().value();
  TestClient silent(port);
  TestClient plain(port);
  plain.Send("GET /livez HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(plain.ServerCloses());
  TestClient client(port, ClientTls{ca_file_});
  EXPECT_EQ(client.Get("/livez").status, 200);
}

TEST_F(ServerTlsTest, MutualTlsAsksForACertificateOfItsCaAndTellsTheName) {
  WriteServerCertificate();
  options_.client_ca_file = ca_file_;
  Server server(options_);
  server.Route("GET", "/who", [](const Request& r) { return Response{.body = r.client_name}; });
  const int port = server.Start().value();
  EXPECT_EQ(TestClient(port, Client(ca_, "scheduler")).Get("/who").body, "scheduler");
  EXPECT_EQ(TestClient(port, ClientTls{ca_file_}).Get("/who").status, 0) << "no certificate";
  const auto stranger = CertificateAuthority::Create("test-ca").value();
  EXPECT_EQ(TestClient(port, Client(stranger, "mallory")).Get("/who").status, 0) << "another CA";
}

TEST_F(ServerTlsTest, AChangedCertificateIsServedWithoutARestart) {
  WriteServerCertificate();
  Server server(options_);
  const int port = server.Start().value();
  TestClient before(port, ClientTls{ca_file_});
  const std::string old_serial = before.ServerSerial();
  WriteServerCertificate();
  TestClient after(port, ClientTls{ca_file_});
  EXPECT_NE(after.ServerSerial(), "");
  EXPECT_NE(after.ServerSerial(), old_serial);
  EXPECT_EQ(before.Get("/livez").status, 200) << "open connections stay";
}

TEST_F(ServerTlsTest, AFailedReloadKeepsTheOldCertificateUntilTheFilesAreGoodAgain) {
  WriteServerCertificate();
  Server server(options_);
  const int port = server.Start().value();
  const std::string old_serial = TestClient(port, ClientTls{ca_file_}).ServerSerial();
  dir_.Write("tls.crt", "half a certificate");
  EXPECT_EQ(TestClient(port, ClientTls{ca_file_}).ServerSerial(), old_serial);
  std::filesystem::remove(options_.cert_file);
  EXPECT_EQ(TestClient(port, ClientTls{ca_file_}).ServerSerial(), old_serial);
  WriteServerCertificate();
  EXPECT_NE(TestClient(port, ClientTls{ca_file_}).ServerSerial(), old_serial);
}

TEST_F(ServerTlsTest, StartNamesTheUnreadableFile) {
  WriteServerCertificate();
  const auto other = ca_.Issue({.common_name = "x", .names = {"localhost"}}).value();
  struct Case {
    const char* name;
    TlsFiles files;
    std::string named;
  };
  const Case cases[] = {
      {"no certificate", {"/nowhere/tls.crt", options_.key_file, ""}, "/nowhere/tls.crt"},
      {"no key", {options_.cert_file, "/nowhere/tls.key", ""}, "/nowhere/tls.key"},
      {"garbage", {dir_.Write("bad.crt", "x"), options_.key_file, ""}, "bad.crt"},
      {"key of another",
       {options_.cert_file, dir_.Write("other.key", other.key_pem), ""},
       "other.key"},
      {"no CA", {options_.cert_file, options_.key_file, "/nowhere/ca.crt"}, "/nowhere/ca.crt"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto loaded = LoadTls(c.files);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(loaded.error().message, HasSubstr(c.named));
  }
}

}  // namespace
}  // namespace tessera::http
