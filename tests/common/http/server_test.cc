#include "common/http/server.h"

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/http/test_client.h"

namespace tessera::http {
namespace {

using testing::HasSubstr;

class ServerTest : public testing::Test {
 protected:
  int Start() {
    const auto port = server_.Start();
    EXPECT_TRUE(port) << port.error().message;
    return port.value_or(0);
  }
  Server server_{{}};
};

TEST_F(ServerTest, AnswersWithContentLengthAndTheBody) {
  server_.Route("POST", "/echo", [](const Request& r) { return Response{.body = r.body}; });
  TestClient client(Start());
  const Answer answer = client.Post("/echo", R"({"a":1})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"a":1})");
  EXPECT_EQ(answer.headers.at("content-length"), "7");
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
}

TEST_F(ServerTest, TheHandlerSeesGroupsQueryAndLowerCaseHeaders) {
  Request seen;
  server_.Route("GET", "/pods/([^/]+)/(log|exec)", [&](const Request& r) {
    seen = r;
    return Response{};
  });
  TestClient client(Start());
  client.Send("GET /pods/a%20b/log?follow=true&x=1%2B1 HTTP/1.1\r\nHost: h\r\nX-Thing: V\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.path, "/pods/a b/log");
  EXPECT_THAT(seen.matches, testing::ElementsAre("/pods/a b/log", "a b", "log"));
  EXPECT_EQ(seen.Query("follow"), "true");
  EXPECT_EQ(seen.Query("x"), "1+1");
  EXPECT_EQ(seen.Query("absent"), "");
  EXPECT_EQ(seen.Header("x-thing"), "V");
  EXPECT_EQ(seen.Header("remote_addr"), "");
}

TEST_F(ServerTest, UnknownPathsAndMethodsGetStatusObjects) {
  server_.Route("POST", "/only-post", [](const Request&) { return Response{}; });
  TestClient client(Start());
  const Answer missing = client.Get("/nothing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.body, HasSubstr(R"("reason":"NotFound")"));
  const Answer wrong = client.Get("/only-post");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST");
  EXPECT_THAT(wrong.body, HasSubstr(R"("code":405)"));
}

TEST_F(ServerTest, AnExceptionBecomes500WithoutItsText) {
  server_.Route("GET", "/throws",
                [](const Request&) -> Response { throw std::runtime_error("secret detail"); });
  TestClient client(Start());
  const Answer answer = client.Get("/throws");
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, testing::Not(HasSubstr("secret")));
  for (const auto& [name, value] : answer.headers) {
    EXPECT_THAT(value, testing::Not(HasSubstr("secret"))) << name;
  }
  EXPECT_EQ(client.Get("/livez").status, 200) << "the connection must live on";
}

TEST_F(ServerTest, ReadyFollowsChecksAndDrain) {
  bool synced = false;
  server_.AddReadyCheck("cache", [&] { return synced ? "" : "not synced"; });
  TestClient client(Start());
  const Answer early = client.Get("/readyz");
  EXPECT_EQ(early.status, 503);
  EXPECT_THAT(early.body, HasSubstr("[-]cache failed: not synced\n"));
  EXPECT_EQ(client.Get("/healthz").status, 200);
  synced = true;
  EXPECT_EQ(client.Get("/readyz").body, "ok");
  EXPECT_THAT(client.Get("/readyz?verbose").body, HasSubstr("[+]cache ok\n"));
  server_.Drain();
  EXPECT_EQ(client.Get("/readyz").status, 503);
  EXPECT_EQ(client.Get("/livez").status, 200);
}

TEST_F(ServerTest, MetricsAreServedAsText) {
  server_.ServeMetrics([] { return std::string("a 1\n"); });
  TestClient client(Start());
  const Answer answer = client.Get("/metrics");
  EXPECT_EQ(answer.body, "a 1\n");
  EXPECT_THAT(answer.headers.at("content-type"), HasSubstr("text/plain; version=0.0.4"));
}

TEST_F(ServerTest, HeadHasTheHeadersOfGetAndNoBody) {
  TestClient client(Start());
  client.Send("HEAD /livez HTTP/1.1\r\nHost: h\r\n\r\nGET /livez HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.Line(), "HTTP/1.1 200 OK");
  std::string line;
  bool length = false;
  while (!(line = client.Line()).empty()) length = length || line == "Content-Length: 2";
  EXPECT_TRUE(length);
  EXPECT_EQ(client.Receive().status, 200) << "the pipelined request is answered too";
}

TEST_F(ServerTest, PostJsonAnswers200AlsoForErrors) {
  PostJson(
      server_, "/verb",
      [](std::string_view text) -> Result<int> {
        if (text != "1") return Fail(Errc::kInvalidArgument, "PodName must be a string");
        return 1;
      },
      [](int value) { return std::to_string(value); },
      [](const Error& error) { return "{\"Error\":\"" + error.message + "\"}"; });
  TestClient client(Start());
  EXPECT_EQ(client.Post("/verb", "1").body, "1");
  const Answer bad = client.Post("/verb", "x");
  EXPECT_EQ(bad.status, 200);
  EXPECT_EQ(bad.body, R"({"Error":"PodName must be a string"})");
}

TEST_F(ServerTest, AHeaderValueCannotSplitTheAnswer) {
  server_.Route("GET", "/split", [](const Request&) {
    return Response{.body = "x", .headers = {{"X-A", "1\r\nX-B: 2"}}};
  });
  TestClient client(Start());
  const Answer answer = client.Get("/split");
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.headers.contains("x-b"));
}

TEST_F(ServerTest, CompressionIsNeverChosenForTheClient) {
  server_.Route("GET", "/x",
                [](const Request&) { return Response{.body = std::string(9000, 'x')}; });
  TestClient client(Start());
  client.Send("GET /x HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nRange: bytes=0-1\r\n\r\n");
  const Answer answer = client.Receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.size(), 9000U);
}

TEST(ServerStart, ATakenPortIsNamed) {
  Server first({});
  const auto port = first.Start();
  ASSERT_TRUE(port);
  Server second({.port = *port});
  const auto failed = second.Start();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kUnavailable);
  EXPECT_THAT(failed.error().message, HasSubstr(std::to_string(*port)));
}

TEST(ServerStart, RefusesHalfATlsSetupAndASecondStart) {
  EXPECT_FALSE(Server({.cert_file = "/x"}).Start());
  EXPECT_FALSE(Server({.client_ca_file = "/x"}).Start());
  EXPECT_FALSE(Server({.bind_address = "not an address"}).Start());
  Server server({});
  ASSERT_TRUE(server.Start());
  EXPECT_FALSE(server.Start());
  server.Stop();
  server.Stop();
}

TEST(ServerStop, WithoutStartOrAfterItEndsIdleConnectionsAtOnce) {
  Server never({});
  never.Stop();
  Server server({});
  TestClient client(server.Start().value());
  EXPECT_EQ(client.Get("/livez").status, 200);
  const auto begun = std::chrono::steady_clock::now();
  server.Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
  EXPECT_TRUE(client.ServerCloses());
}

}  // namespace
}  // namespace tessera::http
