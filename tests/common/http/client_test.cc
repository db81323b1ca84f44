#include "common/http/client.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/server.h"
#include "sim/kube/pki.h"
#include "tests/common/http/test_client.h"

namespace tessera::http {
namespace {

using sim::CertificateAuthority;
using testing::HasSubstr;

ClientOptions To(const std::string& base_url) {
  ClientOptions options;
  options.base_url = base_url;
  return options;
}

std::string Url(const char* scheme, int port) {
  return std::string(scheme) + "://127.0.0.1:" + std::to_string(port);
}

TEST(HttpClient, SendsTheBodyAndReadsTheAnswer) {
  Server server({});
  server.Route("POST", "/echo", [](const Request& r) {
    Response answer;
    answer.body = r.Header("content-type") + "|" + r.Header("user-agent") + "|" + r.body;
    answer.headers.emplace("X-Seen", "yes");
    return answer;
  });
  Client client(To(Url("http", server.Start().value())));
  const auto answer = client.Post("/echo", "{}", {{"User-Agent", "Go-http-client/1.1"}});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "application/json|Go-http-client/1.1|{}");
  EXPECT_EQ(answer->headers.find("x-seen")->second, "yes");
  EXPECT_EQ(client.Get("/livez")->status, 200);
  EXPECT_EQ(client.Get("/nothing-here")->status, 404);
}

TEST(HttpClient, KeepsItsConnectionAndSurvivesThatTheServerRestarts) {
  auto server = std::make_unique<Server>(ServerOptions{});
  const int port = server->Start().value();
  Client client(To(Url("http", port)));
  EXPECT_EQ(client.Get("/livez")->status, 200);
  server.reset();
  EXPECT_FALSE(client.Get("/livez"));
  ServerOptions same_port;
  same_port.port = port;
  Server again(same_port);
  ASSERT_TRUE(again.Start());
  EXPECT_EQ(client.Get("/livez")->status, 200);
}

TEST(HttpClient, AnAbsentServerIsUnavailable) {
  int port = 0;
  {
    Server server({});
    port = server.Start().value();
  }
  Client client(To(Url("http", port)));
  const auto answer = client.Get("/livez");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("/livez"));
}

TEST(HttpClient, ATooLargeAnswerIsRefused) {
  Server server({});
  server.Route("GET", "/large", [](const Request&) {
    Response answer;
    answer.body.assign(200'000, 'x');
    return answer;
  });
  ClientOptions options = To(Url("http", server.Start().value()));
  options.max_body_bytes = 100'000;
  Client client(options);
  const auto answer = client.Get("/large");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kResourceExhausted);
}

TEST(HttpClient, ASilentServerCostsNoMoreThanTheTimeout) {
  Server server({});
  std::atomic<bool> leave{false};
  server.Route("GET", "/never", [&](const Request&) {
    leave.wait(false);
    return Response{};
  });
  ClientOptions options = To(Url("http", server.Start().value()));
  options.timeout = std::chrono::milliseconds(100);
  Client client(options);
  const auto answer = client.Get("/never");
  leave = true;
  leave.notify_all();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kUnavailable);
}

TEST(HttpClient, ConcurrentCallsAllGetTheirOwnAnswer) {
  Server server({});
  server.Route("POST", "/echo", [](const Request& r) {
    Response answer;
    answer.body = r.body;
    return answer;
  });
  Client client(To(Url("http", server.Start().value())));
  std::atomic<int> wrong{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string text = std::to_string(t) + "/" + std::to_string(i);
        const auto answer = client.Post("/echo", text);
        if (!answer || answer->body != text) ++wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

class HttpsClientTest : public testing::Test {
 protected:
  int StartServer(const CertificateAuthority& ca, const std::vector<std::string>& names) {
    const auto pair = ca.Issue({.common_name = "server", .names = names}).value();
    ServerOptions options;
    options.cert_file = dir_.Write("tls.crt", pair.cert_pem);
    options.key_file = dir_.Write("tls.key", pair.key_pem);
    server_ = std::make_unique<Server>(options);
    return server_->Start().value();
  }
  Result<Response> GetTrusting(const CertificateAuthority& ca, int port) {
    ClientOptions options = To(Url("https", port));
    options.ca_file = dir_.Write("ca.crt", ca.cert_pem());
    return Client(options).Get("/livez");
  }

  TempDir dir_;
  std::unique_ptr<Server> server_;
};

TEST_F(HttpsClientTest, TrustsOnlyTheGivenCa) {
  const auto ca = CertificateAuthority::Create("ours").value();
  const auto other = CertificateAuthority::Create("theirs").value();
  const int port = StartServer(ca, {"127.0.0.1"});
  const auto good = GetTrusting(ca, port);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->status, 200);
  const auto bad = GetTrusting(other, port);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::kUnavailable);
}

TEST_F(HttpsClientTest, RefusesACertificateForAnotherHost) {
  const auto ca = CertificateAuthority::Create("ours").value();
  const int port = StartServer(ca, {"somewhere.example"});
  EXPECT_FALSE(GetTrusting(ca, port));
}

}  // namespace
}  // namespace tessera::http
