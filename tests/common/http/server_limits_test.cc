// What a hostile or a very busy client meets.
#include <sys/resource.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/server.h"
#include "tests/common/http/test_client.h"

namespace tessera::http {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

void AddEcho(Server& server) {
  server.Route("POST", "/echo", [](const Request& r) { return Response{.body = r.body}; });
}

TEST(ServerConnections, IdleOnesDoNotDelayTheNextRequest) {
  Server server({});
  const int port = server.Start().value();
  std::deque<TestClient> idle;
  for (int i = 0; i < 64; ++i) {
    idle.emplace_back(port);
    ASSERT_EQ(idle.back().Get("/livez").status, 200);
  }
  const auto begun = steady_clock::now();
  EXPECT_EQ(TestClient(port).Get("/livez").status, 200);
  EXPECT_LT(steady_clock::now() - begun, std::chrono::seconds(1));
  for (TestClient& client : idle) EXPECT_EQ(client.Get("/livez").status, 200);
}

TEST(ServerConnections, HaveNoRequestLimit) {
  Server server({});
  TestClient client(server.Start().value());
  for (int i = 0; i < 500; ++i) ASSERT_EQ(client.Get("/livez").status, 200) << i;
}

/// A connection counts as busy for a moment after its answer has arrived, so the next one may be
/// refused then.
bool IsAnsweredSoon(int port) {
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  while (steady_clock::now() < deadline) {
    if (TestClient(port).Get("/livez").status == 200) return true;
  }
  return false;
}

TEST(ServerConnections, AtTheLimitAnIdleOneMakesRoom) {
  Server server({.max_connections = 2});
  const int port = server.Start().value();
  TestClient first(port);
  ASSERT_EQ(first.Get("/livez").status, 200);
  TestClient second(port);
  ASSERT_EQ(second.Get("/livez").status, 200);
  EXPECT_TRUE(IsAnsweredSoon(port));
  // Which of the two it is, ConnectionTable's test says.
  const int left =
      (first.Get("/livez").status == 200 ? 1 : 0) + (second.Get("/livez").status == 200 ? 1 : 0);
  EXPECT_EQ(left, 1);
}

TEST(ServerConnections, WhileAllAreBusyANewOneIsRefusedAndRoomComesBack) {
  std::mutex mu;
  std::condition_variable changed;
  int running = 0;
  bool go = false;
  Server server({.max_connections = 2});
  server.Route("GET", "/wait", [&](const Request&) {
    std::unique_lock lock(mu);
    ++running;
    changed.notify_all();
    changed.wait(lock, [&] { return go; });
    return Response{};
  });
  const int port = server.Start().value();
  TestClient first(port);
  TestClient second(port);
  first.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  second.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  {
    std::unique_lock lock(mu);
    changed.wait(lock, [&] { return running == 2; });
  }
  TestClient third(port);
  EXPECT_TRUE(third.ServerCloses()) << "refused, not left hanging";
  {
    const std::lock_guard lock(mu);
    go = true;
  }
  changed.notify_all();
  EXPECT_EQ(first.Receive().status, 200);
  EXPECT_EQ(second.Receive().status, 200);
  EXPECT_TRUE(IsAnsweredSoon(port));
}

TEST(ServerConnections, NeverUseUpTheDescriptorsOfTheProcess) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 100;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  {
    Server server({});
    const int port = server.Start().value();
    std::deque<TestClient> clients;
    // Both ends are in this process: 40 of these use 80 descriptors, and the limit is 50
    // connections.
    for (int i = 0; i < 40; ++i) {
      clients.emplace_back(port);
      ASSERT_EQ(clients.back().Get("/livez").status, 200) << i;
    }
  }
  rlimit tighter = before;
  tighter.rlim_cur = 40;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tighter), 0);
  {
    Server server({});
    const int port = server.Start().value();
    for (int i = 0; i < 100; ++i) {
      TestClient client(port);
      ASSERT_EQ(client.Get("/livez").status, 200) << i;
    }
  }
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(ServerStop, WaitsForTheRequestInFlight) {
  std::mutex mu;
  std::condition_variable changed;
  bool running = false;
  bool go = false;
  Server server({});
  server.Route("GET", "/wait", [&](const Request&) {
    std::unique_lock lock(mu);
    running = true;
    changed.notify_all();
    changed.wait(lock, [&] { return go; });
    return Response{.body = "done"};
  });
  TestClient client(server.Start().value());
  client.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  std::unique_lock lock(mu);
  changed.wait(lock, [&] { return running; });
  std::thread stopper([&] { server.Stop(); });
  go = true;
  changed.notify_all();
  lock.unlock();
  EXPECT_EQ(client.Receive().body, "done");
  stopper.join();
}

TEST(ServerLimits, ATooLargeBodyIs413HoweverItIsFramed) {
  Server server({.max_body_bytes = 1000});
  AddEcho(server);
  const int port = server.Start().value();
  EXPECT_EQ(TestClient(port).Post("/echo", std::string(1000, 'x')).status, 200);
  // More than any socket buffer holds: the answer must arrive although the client is still sending.
  for (const std::string& request :
       {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 6000000\r\n\r\n" +
            std::string(6000000, 'x'),
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n" +
            std::string(0x200, 'x') + "\r\n200\r\n" + std::string(0x200, 'x') + "\r\n0\r\n\r\n"}) {
    TestClient client(port);
    client.Send(request);
    const Answer answer = client.Receive();
    EXPECT_EQ(answer.status, 413);
    EXPECT_THAT(answer.body, HasSubstr("RequestEntityTooLarge"));
    EXPECT_EQ(answer.headers.at("connection"), "close");
    EXPECT_TRUE(client.ServerCloses());
  }
}

TEST(ServerLimits, ChunkedBodiesWithinTheLimitArrive) {
  Server server({});
  AddEcho(server);
  TestClient client(server.Start().value());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n"
      "Trailer: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.Receive().body, "abcde");
  EXPECT_EQ(client.Receive().status, 200) << "the next request starts where the body ended";
}

TEST(ServerLimits, AGetsBodyIsNotTakenForTheNextRequest) {
  Server server({});
  TestClient client(server.Start().value());
  client.Send(
      "GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 32\r\n\r\nGET /nothing HTTP/1.1\r\nHost: "
      "h\r\n"
      "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(client.Receive().status, 200);
}

TEST(ServerLimits, MalformedRequestsAreRefusedAndClosed) {
  struct Case {
    const char* name;
    std::string request;
    int status;  // 0: closed without an answer
  };
  const Case cases[] = {
      {"both framings",
       "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
       "chunked\r\n\r\n0\r\n\r\n",
       400},
      {"two lengths", "POST /echo HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
       400},
      {"length is a word", "POST /echo HTTP/1.1\r\nContent-Length: three\r\n\r\nabc", 400},
      {"negative length", "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
      {"bad chunk", "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"coding", "POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"not a request", "hello\r\n\r\n", 400},
      {"unknown method", "BREW / HTTP/1.1\r\n\r\n", 400},
      {"endless headers", "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x'), 431},
      {"many headers",
       [] {
         std::string text = "GET / HTTP/1.1\r\n";
         for (int i = 0; i < 9000; ++i) text += "X-" + std::to_string(i) + ": y\r\n";
         return text;
       }(),
       431},
      {"endless request line", "GET /" + std::string(100'000, 'x'), 0},
      {"long path", "GET /" + std::string(4000, 'x') + " HTTP/1.1\r\nConnection: close\r\n\r\n",
       414},
  };
  Server server({});
  AddEcho(server);
  const int port = server.Start().value();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    TestClient client(port);
    client.Send(c.request);
    EXPECT_EQ(client.Receive().status, c.status);
    EXPECT_TRUE(client.ServerCloses());
  }
  EXPECT_EQ(TestClient(port).Get("/livez").status, 200) << "the server lives on";
}

TEST(ServerLimits, ExpectContinueIsAnsweredBeforeTheBody) {
  Server server({});
  AddEcho(server);
  TestClient client(server.Start().value());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 100);
  client.Send("ok");
  EXPECT_EQ(client.Receive().body, "ok");
}

}  // namespace
}  // namespace tessera::http
