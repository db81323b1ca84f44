#include "common/kube/client.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "tests/common/http/test_client.h"
#include "tests/common/kube/gzip.h"
#include "tests/common/kube/scripted_server.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

std::string Status(int code, const std::string& reason, const std::string& message) {
  return R"({"kind":"Status","status":"Failure","code":)" + std::to_string(code) +
         R"(,"reason":")" + reason + R"(","message":")" + message + R"("})";
}

class ClientTest : public testing::Test {
 protected:
  std::unique_ptr<Client> Make() { return MakeClient(server_.config(), clock_); }
  std::unique_ptr<Client> Make(Config config) { return MakeClient(std::move(config), clock_); }

  SystemClock clock_;
  ScriptedServer server_;
};

TEST_F(ClientTest, GetReadsTheObjectAndSaysWhoAsks) {
  server_.Then(200, R"({"kind":"Node"})");
  const auto node = Make()->Get("/api/v1/nodes/n1");
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(json::GetString(*node, "kind").value(), "Node");
  const auto request = server_.journal().at(0);
  EXPECT_EQ(request.path, "/api/v1/nodes/n1");
  EXPECT_EQ(request.Header("user-agent"), "tessera-test/1");
  EXPECT_EQ(request.Header("accept"), "application/json");
  EXPECT_EQ(request.Header("authorization"), "");
}

TEST_F(ClientTest, ErrorsCarryTheServersWordsAndACodeToActOn) {
  struct Case {
    int status;
    Errc code;
  };
  const Case cases[] = {
      {404, Errc::kNotFound},        {409, Errc::kConflict},        {410, Errc::kGone},
      {400, Errc::kInvalidArgument}, {403, Errc::kInvalidArgument}, {422, Errc::kInvalidArgument}};
  const auto client = Make();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.status);
    server_.Then(c.status, Status(c.status, "SomeReason", "the very words"));
    const auto failed = client->Get("/api/v1/nodes/n1?x=y");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, c.code);
    EXPECT_EQ(failed.error().message,
              "GET /api/v1/nodes/n1: " + std::to_string(c.status) + " SomeReason: the very words");
  }
}

TEST_F(ClientTest, WritesSendBodyAndContentType) {
  const auto client = Make();
  for (int i = 0; i < 6; ++i) server_.Then(200, "{}");
  ASSERT_TRUE(client->Post("/a", R"({"b":1})"));
  ASSERT_TRUE(client->Put("/a", R"({"b":2})"));
  ASSERT_TRUE(client->Patch("/a", PatchType::kMerge, "{}"));
  ASSERT_TRUE(client->Patch("/a", PatchType::kStrategicMerge, "{}"));
  ASSERT_TRUE(client->Patch("/a", PatchType::kJson, "[]"));
  ASSERT_TRUE(client->Delete("/a"));
  const auto journal = server_.journal();
  EXPECT_EQ(journal.at(0).method, "POST");
  EXPECT_EQ(journal.at(0).body, R"({"b":1})");
  EXPECT_EQ(journal.at(0).Header("content-type"), "application/json");
  EXPECT_EQ(journal.at(1).method, "PUT");
  EXPECT_EQ(journal.at(2).Header("content-type"), "application/merge-patch+json");
  EXPECT_EQ(journal.at(3).Header("content-type"), "application/strategic-merge-patch+json");
  EXPECT_EQ(journal.at(4).Header("content-type"), "application/json-patch+json");
  EXPECT_EQ(journal.at(5).method, "DELETE");
}

TEST_F(ClientTest, RepeatsReadsUntilTheServerIsWell) {
  server_.Then(500, "oops").Then(503, "").ThenCut("").Then(429, "").Then(200, R"({"ok":true})");
  EXPECT_TRUE(Make()->Get("/a"));
  EXPECT_EQ(server_.journal().size(), 5U);
}

TEST_F(ClientTest, GivesUpAndTellsTheLastWords) {
  for (int i = 0; i < 20; ++i) server_.Then(500, Status(500, "InternalError", "etcd is away"));
  const auto failed = Make()->Get("/a");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kUnavailable);
  EXPECT_THAT(failed.error().message, HasSubstr("etcd is away"));
  EXPECT_EQ(server_.journal().size(), static_cast<std::size_t>(RetryPolicy{}.max_attempts));
}

TEST_F(ClientTest, NeverRepeatsAWriteThatMayHaveHappened) {
  const auto client = Make();
  for (int i = 0; i < 2; ++i) {
    server_.Then(500, "").ThenCut("");
    EXPECT_EQ(client->Post("/a", "{}").error().code, Errc::kUnavailable);
    EXPECT_EQ(client->Patch("/a", PatchType::kMerge, "{}").error().code, Errc::kUnavailable);
  }
  EXPECT_EQ(server_.journal().size(), 4U);
}

TEST_F(ClientTest, NeverRepeatsAWriteWhoseAnswerWasLostOnAReusedConnection) {
  const auto client = Make();
  server_.Then(200, "{}");
  ASSERT_TRUE(client->Get("/a"));
  for (int i = 0; i < 3; ++i) {
    server_.Then([](const http::Request&) -> http::StreamResponse { throw http::CutConnection{}; });
    server_.Then(200, "{}");
    EXPECT_EQ((i == 0 ? client->Post("/a", "{}") : client->Put("/a", "{}")).error().code,
              Errc::kUnavailable);
    ASSERT_TRUE(client->Get("/a"));
  }
  server_.Then([](const http::Request&) -> http::StreamResponse { throw http::CutConnection{}; });
  EXPECT_EQ(client->Delete("/a").error().code, Errc::kUnavailable);
  EXPECT_EQ(server_.journal().size(), 8U);
}

TEST_F(ClientTest, RepeatsAWriteThatTheServerPutOff) {
  server_.Then(429, "").Then(201, "{}");
  EXPECT_TRUE(Make()->Post("/a", "{}"));
  EXPECT_EQ(server_.journal().size(), 2U);
}

TEST_F(ClientTest, WaitsAsLongAsTheServerSays) {
  server_.Then(429, "", {{"Retry-After", "1"}}).Then(200, "{}");
  const auto begun = steady_clock::now();
  EXPECT_TRUE(Make()->Get("/a"));
  EXPECT_GE(steady_clock::now() - begun, milliseconds(1000));
}

TEST_F(ClientTest, ARetryAfterBeyondTheBudgetIsAnErrorAtOnce) {
  server_.Then(503, Status(503, "ServiceUnavailable", "come back"), {{"Retry-After", "3600"}});
  const auto begun = steady_clock::now();
  EXPECT_THAT(Make()->Get("/a").error().message, HasSubstr("come back"));
  EXPECT_LT(steady_clock::now() - begun, std::chrono::seconds(2));
}

TEST_F(ClientTest, AnAbsentServerIsUnavailable) {
  Config config = server_.config();
  config.server = "http://127.0.0.1:1";
  const auto failed = Make(config)->Post("/a", "{}");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kUnavailable);
  EXPECT_THAT(failed.error().message, HasSubstr("POST /a: "));
}

TEST_F(ClientTest, ASlowAnswerTimesOut) {
  std::stop_source go;
  server_.Then([go](const http::Request&) {
    while (!go.stop_requested()) std::this_thread::sleep_for(milliseconds(1));
    return http::StreamResponse{};
  });
  Config config = server_.config();
  config.request_timeout = milliseconds(50);
  config.retry.max_attempts = 1;
  EXPECT_EQ(Make(config)->Get("/a").error().code, Errc::kUnavailable);
  go.request_stop();
}

TEST_F(ClientTest, GarbageIsAnErrorAndNoCrash) {
  const auto client = Make();
  for (const char* body : {"", "<html>", "{", "{\"a\":\xff}", "null", "[1"}) {
    SCOPED_TRACE(body);
    server_.Then(200, body).Then(200, body);
    const auto got = client->Get("/a");
    if (!got) {
      EXPECT_EQ(got.error().code, Errc::kUnavailable);
    }
    EXPECT_FALSE(client->List("/a"));
  }
}

TEST_F(ClientTest, ReadsGzip) {
  const std::string body = R"({"a":")" + std::string(200'000, 'x') + R"("})";
  server_.Then(200, Gzip(body), {{"Content-Encoding", "gzip"}});
  const auto got = Make()->Get("/a");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(json::GetString(*got, "a")->size(), 200'000U);
  EXPECT_THAT(server_.journal().at(0).Header("accept-encoding"), HasSubstr("gzip"));
}

std::string Page(const std::string& version, const std::string& next,
                 std::initializer_list<int> items) {
  std::string list;
  for (const int item : items) list += (list.empty() ? "" : ",") + std::to_string(item);
  return R"({"metadata":{"resourceVersion":")" + version + R"(","continue":")" + next +
         R"("},"items":[)" + list + "]}";
}

TEST_F(ClientTest, ListJoinsPages) {
  server_.Then(200, Page("7", "a/b=", {1, 2})).Then(200, Page("7", "", {3}));
  const auto list = Make()->List("/api/v1/pods?labelSelector=a%3Db");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(json::Dump(list->items), "[1,2,3]");
  EXPECT_EQ(list->resource_version, "7");
  const auto journal = server_.journal();
  EXPECT_EQ(journal.at(0).Query("limit"), "500");
  EXPECT_EQ(journal.at(0).Query("labelSelector"), "a=b");
  EXPECT_EQ(journal.at(1).Query("continue"), "a/b=");
  EXPECT_EQ(journal.at(1).Query("labelSelector"), "a=b");
}

TEST_F(ClientTest, ListBeginsAgainWhenItsPagesHaveExpired) {
  server_.Then(200, Page("7", "x", {1, 2}))
      .Then(410, Status(410, "Expired", "too old"))
      .Then(200, Page("9", "", {3}));
  const auto list = Make()->List("/api/v1/pods");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(json::Dump(list->items), "[3]") << "nothing of the first try may stay";
  EXPECT_EQ(list->resource_version, "9");
}

TEST_F(ClientTest, ListTakesNullItemsForNone) {
  server_.Then(200, R"({"metadata":{"resourceVersion":"3"},"items":null})");
  EXPECT_EQ(Make()->List("/a")->items.Size(), 0U);
}

TEST_F(ClientTest, TheTokenFileIsReadAgainWhenRefused) {
  http::TempDir dir;
  Config config = server_.config();
  config.token_file = dir.Write("token", "old\n");
  const auto client = Make(config);
  server_.Then(200, "{}");
  ASSERT_TRUE(client->Get("/a"));
  dir.Write("token", "new");
  server_.Then(200, "{}").Then(401, "").Then(201, "{}");
  ASSERT_TRUE(client->Get("/a"));
  ASSERT_TRUE(client->Post("/a", "{}"));
  std::vector<std::string> tokens;
  for (const auto& request : server_.journal()) tokens.push_back(request.Header("authorization"));
  EXPECT_THAT(tokens, testing::ElementsAre("Bearer old", "Bearer old", "Bearer old", "Bearer new"));
  server_.Then(401, Status(401, "Unauthorized", "who are you"));
  EXPECT_EQ(client->Get("/a").error().code, Errc::kInvalidArgument)
      << "an unchanged token is not tried twice";
}

TEST_F(ClientTest, RequestsAreSpreadByTheTokenBucket) {
  Config config = server_.config();
  config.qps = 50;
  config.burst = 1;
  const auto client = Make(config);
  const auto begun = steady_clock::now();
  for (int i = 0; i < 6; ++i) {
    server_.Then(200, "{}");
    ASSERT_TRUE(client->Get("/a"));
  }
  EXPECT_GE(steady_clock::now() - begun, milliseconds(95));
}

TEST_F(ClientTest, ShutdownEndsACallThatWaits) {
  server_.Then(503, "", {{"Retry-After", "5"}});
  const auto client = Make();
  std::jthread stopper([&] {
    while (server_.journal().empty()) std::this_thread::yield();
    client->Shutdown();
  });
  const auto begun = steady_clock::now();
  EXPECT_EQ(client->Get("/a").error().code, Errc::kUnavailable);
  EXPECT_LT(steady_clock::now() - begun, std::chrono::seconds(2));
  EXPECT_EQ(client->Get("/a").error().code, Errc::kUnavailable) << "later ones fail at once";
}

TEST_F(ClientTest, ManyThreadsMayAskAtOnce) {
  const auto client = Make();
  for (int i = 0; i < 80; ++i) server_.Then(200, "{}");
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) good += client->Get("/a").has_value() ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(good, 80);
}

}  // namespace
}  // namespace tessera::kube
