#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "common/http/server.h"
#include "tests/common/http/test_client.h"

namespace tessera::http {
namespace {

TEST(ServerStream, SendsEachPieceAtOnceAndEndsTheStream) {
  std::mutex mu;
  std::condition_variable changed;
  int allowed = 0;
  Server server({});
  server.Stream("GET", "/watch", [&](const Request&) {
    return StreamResponse{.head = {}, .body = [&](const ChunkSink& sink) {
                            for (int i = 1; i <= 2; ++i) {
                              std::unique_lock lock(mu);
                              changed.wait(lock, [&] { return allowed >= i; });
                              lock.unlock();
                              sink("event " + std::to_string(i) + "\n");
                            }
                          }};
  });
  TestClient client(server.Start().value());
  client.Send("GET /watch HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
  while (!client.Line().empty()) {
  }
  for (int i = 1; i <= 2; ++i) {
    {
      const std::lock_guard lock(mu);
      allowed = i;
    }
    changed.notify_all();
    EXPECT_EQ(client.Line(), "8");
    EXPECT_EQ(client.Line(), "event " + std::to_string(i))
        << "must come before the next one is made";
    EXPECT_EQ(client.Line(), "");
  }
  EXPECT_EQ(client.Line(), "0");
  EXPECT_EQ(client.Line(), "");
  EXPECT_EQ(client.Get("/livez").status, 200) << "the connection can be used again";
}

TEST(ServerStream, AHeadThatIsNot200IsTheWholeAnswer) {
  Server server({});
  server.Stream("GET", "/watch", [&](const Request&) {
    return StreamResponse{.head = {.status = 410, .body = "{}"},
                          .body = [](const ChunkSink&) { ADD_FAILURE() << "must not run"; }};
  });
  TestClient client(server.Start().value());
  EXPECT_EQ(client.Get("/watch").status, 410);
}

/// A producer that has nothing to say but asks whether anybody listens.
StreamResponse Quiet(std::atomic<bool>& ended) {
  return {.head = {}, .body = [&ended](const ChunkSink& sink) {
            while (sink("")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
            ended = true;
          }};
}

TEST(ServerStream, StopEndsItProperly) {
  std::atomic<bool> ended{false};
  Server server({});
  server.Stream("GET", "/watch", [&](const Request&) { return Quiet(ended); });
  TestClient client(server.Start().value());
  client.Send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
  while (!client.Line().empty()) {
  }
  server.Stop();
  EXPECT_TRUE(ended);
  EXPECT_EQ(client.Line(), "0") << "a clean end, which the client does not take for a fault";
}

TEST(ServerStream, TheProducerLearnsThatTheClientHasGone) {
  std::atomic<bool> ended{false};
  Server server({});
  server.Stream("GET", "/watch", [&](const Request&) { return Quiet(ended); });
  const int port = server.Start().value();
  {
    TestClient client(port);
    client.Send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
    client.Line();
  }
  // Stop joins the producer's thread; were the client's leaving not noticed, Stop itself would end
  // it, so look before.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (TestClient(port).connected() && std::chrono::steady_clock::now() < deadline) {
    if (ended) break;
    std::this_thread::yield();
  }
  EXPECT_TRUE(ended);
}

TEST(ServerStream, AnExceptionCutsTheStreamVisibly) {
  Server server({});
  server.Stream("GET", "/watch", [&](const Request&) {
    return StreamResponse{.head = {}, .body = [](const ChunkSink& sink) {
                            sink("a");
                            throw 1;
                          }};
  });
  TestClient client(server.Start().value());
  client.Send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
  while (!client.Line().empty()) {
  }
  EXPECT_EQ(client.Line(), "1");
  EXPECT_EQ(client.Line(), "a");
  EXPECT_EQ(client.Line(), "") << "no final chunk";
  EXPECT_TRUE(client.ServerCloses());
}

}  // namespace
}  // namespace tessera::http
