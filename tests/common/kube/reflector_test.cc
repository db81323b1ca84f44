// The reflector's loop against a client without a server; sim/kube's tests run it against a real
// one.
#include "common/kube/reflector.h"

#include <condition_variable>
#include <deque>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tessera::kube
