// The reflector's loop against a client without a server; sim/kube's tests run it against a real
// one.
#include "common/kube/reflector.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kube/object.h"
#include "tests/common/kube/stub_client.h"

namespace tessera::kube {
namespace {

using testing::ElementsAre;

/// Runs a reflector until its script of answers is used up; gives the calls that it made.
std::vector<std::string> CallsFor(std::deque<Result<void>> script,
                                  ReflectorHandlers handlers = {}) {
  std::mutex mu;
  std::condition_variable changed;
  bool done = false;
  StubClient client([&](const std::string& method, const std::string&,
                        const std::string&) -> Result<rapidjson::Document> {
    const std::lock_guard lock(mu);
    if (script.empty()) {
      done = true;
      changed.notify_all();
      return Fail(Errc::kUnavailable, "beyond the script");
    }
    const auto next = script.front();
    script.pop_front();
    if (!next) return tl::unexpected(next.error());
    return json::Parse(method == "LIST" ? "[]" : "{}");
  });
  const std::size_t wanted = script.size();
  Reflector reflector(client, "/x", std::move(handlers),
                      {.base = std::chrono::milliseconds(1), .max = std::chrono::milliseconds(2)});
  reflector.Start();
  {
    std::unique_lock lock(mu);
    changed.wait_for(lock, std::chrono::seconds(10), [&] { return done; });
  }
  reflector.Stop();
  auto calls = client.journal();
  calls.resize(std::min(calls.size(), wanted));
  return calls;
}

Result<void> Failed(Errc code) { return Fail(code, "scripted"); }

TEST(ReflectorLoop, WatchesAgainAfterACleanEndAndAfterTheServerWasAway) {
  EXPECT_THAT(CallsFor({{}, {}, Failed(Errc::kUnavailable), {}}),
              ElementsAre("LIST /x", "WATCH /x@1", "WATCH /x@1", "WATCH /x@1"));
}

TEST(ReflectorLoop, ListsAgainWhenTheVersionIsGoneOrRefused) {
  EXPECT_THAT(CallsFor({{}, Failed(Errc::kGone), {}, Failed(Errc::kInvalidArgument), {}}),
              ElementsAre("LIST /x", "WATCH /x@1", "LIST /x", "WATCH /x@1", "LIST /x"));
}

TEST(ReflectorLoop, AsksUntilAListComes) {
  EXPECT_THAT(CallsFor({Failed(Errc::kUnavailable), Failed(Errc::kInvalidArgument), {}, {}}),
              ElementsAre("LIST /x", "LIST /x", "LIST /x", "WATCH /x@1"));
}

TEST(ReflectorLoop, ListsAgainWhenWatchesKeepFailing) {
  const auto away = Failed(Errc::kUnavailable);
  EXPECT_THAT(
      CallsFor({{}, away, away, away, away, {}}),
      ElementsAre("LIST /x", "WATCH /x@1", "WATCH /x@1", "WATCH /x@1", "WATCH /x@1", "LIST /x"));
}

TEST(ReflectorLoop, ListsAgainAfterAWatchIfThatIsWanted) {
  const std::vector<Result<void>> script = {{}, {}, {}, {}, {}};
  int asked = 0;
  std::vector<int> lists;
  const auto calls = CallsFor(
      {script.begin(), script.end()},
      {.on_list = [&] { lists.push_back(asked); }, .wants_list = [&] { return ++asked == 2; }});
  EXPECT_THAT(calls, ElementsAre("LIST /x", "WATCH /x@1", "WATCH /x@1", "LIST /x", "WATCH /x@1"));
  EXPECT_THAT(lists, testing::IsSupersetOf({0, 2})) << "told before each list";
}

TEST(ReflectorLoop, StopWithoutStartIsFine) {
  StubClient client(
      [](auto&&...) -> Result<rapidjson::Document> { return Fail(Errc::kUnavailable, ""); });
  Reflector reflector(client, "/x", {});
  reflector.Stop();
  EXPECT_FALSE(reflector.synced());
}

/// Lists give what `version` says; watches never end by themselves.
class EndlessWatch final : public StubClient {
 public:
  EndlessWatch()
      : StubClient([this](const std::string&, const std::string&,
                          const std::string&) -> Result<rapidjson::Document> {
          ++lists;
          if (refuse) return Fail(Errc::kUnavailable, "away");
          return json::Parse(R"([{"metadata":{"name":"v)" + std::to_string(version) + "\"}}]");
        }) {}
  Result<void> Watch(const std::string&, const std::string&,
                     const std::function<void(WatchEvent&)>&, std::stop_token stop) override {
    std::mutex mu;
    std::unique_lock lock(mu);
    std::condition_variable_any never;
    never.wait(lock, stop, [] { return false; });
    return {};
  }
  std::atomic<int> version = 0;
  std::atomic<int> lists = 0;
  std::atomic<bool> refuse = false;
};

class RequestedListTest : public testing::Test {
 protected:
  RequestedListTest() { reflector_.Start(); }
  ~RequestedListTest() override { reflector_.Stop(); }
  std::string seen() {
    const std::lock_guard lock(mu_);
    return seen_;
  }
  std::mutex mu_;
  std::string seen_;
  EndlessWatch client_;
  Reflector reflector_{client_,
                       "/x",
                       {.on_upsert =
                            [this](const rapidjson::Value& object) {
                              const std::lock_guard lock(mu_);
                              seen_ = Name(object);
                            }},
                       {.base = std::chrono::milliseconds(1), .max = std::chrono::milliseconds(2)}};
};

TEST_F(RequestedListTest, TellsWhatTheWatchHasNotToldYet) {
  ASSERT_TRUE(reflector_.AwaitList(reflector_.RequestList(), std::chrono::seconds(10)));
  for (int version = 1; version <= 50; ++version) {
    client_.version = version;
    ASSERT_TRUE(reflector_.AwaitList(reflector_.RequestList(), std::chrono::seconds(10)));
    EXPECT_EQ(seen(), "v" + std::to_string(version));
  }
}

TEST_F(RequestedListTest, IsTriedUntilItSucceedsAndServesAllWhoAskedBefore) {
  ASSERT_TRUE(reflector_.AwaitList(reflector_.RequestList(), std::chrono::seconds(10)));
  client_.refuse = true;
  const auto first = reflector_.RequestList();
  EXPECT_FALSE(reflector_.AwaitList(first, std::chrono::milliseconds(20)));
  const auto second = reflector_.RequestList();
  client_.refuse = false;
  EXPECT_TRUE(reflector_.AwaitList(second, std::chrono::seconds(10)));
  EXPECT_TRUE(reflector_.AwaitList(first, std::chrono::seconds(0)));
}

}  // namespace
}  // namespace tessera::kube
