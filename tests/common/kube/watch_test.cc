#include <condition_variable>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "common/kube/client.h"
#include "common/kube/object.h"
#include "tests/common/kube/scripted_server.h"

namespace tessera::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Event(const std::string& type, const std::string& version) {
  return R"({"type":")" + type + R"(","object":{"metadata":{"name":"p","resourceVersion":")" +
         version + "\"}}}\n";
}

class WatchTest : public testing::Test {
 protected:
  Result<void> Watch(const std::stop_token& stop = {}) {
    return client_->Watch(
        "/api/v1/pods?labelSelector=x", "5",
        [&](WatchEvent& event) {
          seen_.push_back(event.type + " " + std::string(ResourceVersion(event.object)));
        },
        stop);
  }

  SystemClock clock_;
  ScriptedServer server_;
  std::unique_ptr<Client> client_ = MakeClient(server_.config(), clock_);
  std::vector<std::string> seen_;
};

TEST_F(WatchTest, TellsEventsUntilTheServerEndsIt) {
  server_.ThenStream(Event("ADDED", "6") + Event("BOOKMARK", "7") + "\n" + Event("DELETED", "8"));
  const auto ended = Watch();
  EXPECT_TRUE(ended) << ended.error().message;
  EXPECT_THAT(seen_, ElementsAre("ADDED 6", "BOOKMARK 7", "DELETED 8"));
  const auto request = server_.journal().at(0);
  EXPECT_EQ(request.Query("watch"), "1");
  EXPECT_EQ(request.Query("allowWatchBookmarks"), "true");
  EXPECT_EQ(request.Query("resourceVersion"), "5");
  EXPECT_EQ(request.Query("labelSelector"), "x");
  EXPECT_GE(std::stoi(request.Query("timeoutSeconds")), 300);
  EXPECT_LE(std::stoi(request.Query("timeoutSeconds")), 600);
}

TEST_F(WatchTest, AnEventMayComeInPieces) {
  server_.Then([](const http::Request&) {
    return http::StreamResponse{.head = {}, .body = [](const http::ChunkSink& sink) {
                                  for (const char c : Event("ADDED", "6")) sink(std::string(1, c));
                                }};
  });
  EXPECT_TRUE(Watch());
  EXPECT_THAT(seen_, ElementsAre("ADDED 6"));
}

TEST_F(WatchTest, BothWaysOfSaying410AreGone) {
  server_.Then(410, R"({"message":"too old resource version"})");
  EXPECT_EQ(Watch().error().code, Errc::kGone);
  server_.ThenStream(Event("ADDED", "6") +
                     R"({"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}})"
                     "\n" +
                     Event("ADDED", "9"));
  const auto ended = Watch();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Errc::kGone);
  EXPECT_THAT(ended.error().message, HasSubstr("too old"));
  EXPECT_THAT(seen_, ElementsAre("ADDED 6")) << "nothing after the error";
}

TEST_F(WatchTest, OtherErrorsAreUnavailable) {
  server_.ThenStream(R"({"type":"ERROR","object":{"code":500,"message":"boom"}})"
                     "\n");
  EXPECT_EQ(Watch().error().code, Errc::kUnavailable);
  server_.ThenStream("not json\n");
  EXPECT_EQ(Watch().error().code, Errc::kUnavailable);
  server_.ThenStream(R"({"type":"ADDED"})"
                     "\n");
  EXPECT_EQ(Watch().error().code, Errc::kUnavailable);
  server_.Then(503, "");
  EXPECT_EQ(Watch().error().code, Errc::kUnavailable);
  server_.Then(403, R"({"message":"forbidden"})");
  EXPECT_EQ(Watch().error().code, Errc::kInvalidArgument);
}

TEST_F(WatchTest, ACutIsAnErrorAfterWhatCame) {
  server_.ThenCut(Event("ADDED", "6") + R"({"type":"ADD)");
  EXPECT_EQ(Watch().error().code, Errc::kUnavailable);
  EXPECT_THAT(seen_, ElementsAre("ADDED 6"));
  server_.ThenStream(R"({"type":"ADD)");
  EXPECT_THAT(Watch().error().message, HasSubstr("ended inside an event"));
}

TEST_F(WatchTest, StopEndsAQuietWatchAtOnce) {
  server_.Then([](const http::Request&) {
    return http::StreamResponse{.head = {}, .body = [](const http::ChunkSink& sink) {
                                  sink(Event("ADDED", "6"));
                                  while (sink(""))
                                    std::this_thread::sleep_for(std::chrono::milliseconds(2));
                                }};
  });
  std::stop_source stop;
  std::chrono::steady_clock::time_point stopped;
  std::jthread stopper([&] {
    while (server_.journal().empty()) std::this_thread::yield();
    stopped = std::chrono::steady_clock::now();
    stop.request_stop();
  });
  EXPECT_TRUE(Watch(stop.get_token()));
  stopper.join();
  EXPECT_LT(std::chrono::steady_clock::now() - stopped, std::chrono::seconds(5));
}

TEST_F(WatchTest, ShutdownEndsAQuietWatch) {
  server_.Then([](const http::Request&) {
    return http::StreamResponse{.head = {}, .body = [](const http::ChunkSink& sink) {
                                  while (sink(""))
                                    std::this_thread::sleep_for(std::chrono::milliseconds(2));
                                }};
  });
  std::jthread stopper([&] {
    while (server_.journal().empty()) std::this_thread::yield();
    client_->Shutdown();
  });
  EXPECT_EQ(Watch().error().code, Errc::kUnavailable);
}

}  // namespace
}  // namespace tessera::kube
