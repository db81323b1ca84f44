#include <condition_variable>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kube/object.h"
#include "tests/sim/kube/cluster.h"

namespace tessera::sim {
namespace {

using testing::ElementsAre;

class ApiWatchTest : public ClusterTest {
 protected:
  ApiWatchTest()
      : ClusterTest({.history = 50, .bookmark_interval = std::chrono::milliseconds(20)}) {}

  std::string Version() { return client_->List("/api/v1/pods")->resource_version; }
  void Create(const std::string& name, const std::string& metadata = "") {
    ASSERT_TRUE(client_->Post(kPods, PodJson(name, metadata)));
  }
  /// Watches until `count` events that are no bookmarks have come.
  std::vector<std::string> Watch(const std::string& path, const std::string& version,
                                 std::size_t count) {
    std::vector<std::string> seen;
    std::stop_source stop;
    if (count == 0) stop.request_stop();
    const auto ended = client_->Watch(
        path, version,
        [&](kube::WatchEvent& event) {
          if (event.type != "BOOKMARK") seen.push_back(event.type + " " + kube::Key(event.object));
          if (seen.size() == count) stop.request_stop();
        },
        stop.get_token());
    EXPECT_TRUE(ended) << ended.error().message;
    return seen;
  }
};

TEST_F(ApiWatchTest, TellsWhatHappenedSinceAVersion) {
  Create("old");
  const std::string version = Version();
  Create("a");
  ASSERT_TRUE(client_->Patch(std::string(kPods) + "/a", kube::PatchType::kMerge,
                             R"({"metadata":{"labels":{"x":"1"}}})"));
  ASSERT_TRUE(client_->Delete(std::string(kPods) + "/a"));
  EXPECT_THAT(Watch("/api/v1/pods", version, 3),
              ElementsAre("ADDED default/a", "MODIFIED default/a", "DELETED default/a"));
}

TEST_F(ApiWatchTest, AChangeThatChangesNothingIsNotTold) {
  Create("a");
  const std::string version = Version();
  ASSERT_TRUE(client_->Patch(std::string(kPods) + "/a", kube::PatchType::kMerge,
                             R"({"metadata":{"name":"a"}})"));
  EXPECT_EQ(Version(), version);
}

TEST_F(ApiWatchTest, ASelectorTurnsChangesIntoComingAndGoing) {
  Create("a");
  Create("b", R"(,"labels":{"x":"1"})");
  const std::string version = Version();
  const std::string a = std::string(kPods) + "/a";
  ASSERT_TRUE(client_->Patch(a, kube::PatchType::kMerge, R"({"metadata":{"labels":{"x":"1"}}})"));
  ASSERT_TRUE(client_->Patch(a, kube::PatchType::kMerge, R"({"metadata":{"labels":{"y":"1"}}})"));
  ASSERT_TRUE(client_->Patch(a, kube::PatchType::kMerge, R"({"metadata":{"labels":{"x":null}}})"));
  ASSERT_TRUE(client_->Delete(a));
  ASSERT_TRUE(client_->Delete(std::string(kPods) + "/b"));
  EXPECT_THAT(Watch("/api/v1/pods?labelSelector=x%3D1", version, 4),
              ElementsAre("ADDED default/a", "MODIFIED default/a", "DELETED default/a",
                          "DELETED default/b"));
}

TEST_F(ApiWatchTest, AnotherResourceOrNamespaceIsNotTold) {
  const std::string version = Version();
  ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})"));
  ASSERT_TRUE(client_->Post("/api/v1/namespaces/kube-system/pods", PodJson("other")));
  Create("a");
  EXPECT_THAT(Watch(kPods, version, 1), ElementsAre("ADDED default/a"));
  EXPECT_THAT(Watch("/api/v1/nodes", version, 1), ElementsAre("ADDED n1"));
}

TEST_F(ApiWatchTest, WithoutAVersionItBeginsWithWhatIsThere) {
  Create("a");
  EXPECT_THAT(Watch("/api/v1/pods", "", 1), ElementsAre("ADDED default/a"));
}

TEST_F(ApiWatchTest, BookmarksMoveTheVersionOfAQuietWatch) {
  const std::string version = Version();
  ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})"));
  std::stop_source stop;
  std::string moved;
  EXPECT_TRUE(client_->Watch(
      "/api/v1/pods", version,
      [&](kube::WatchEvent& event) {
        EXPECT_EQ(event.type, "BOOKMARK");
        moved = std::string(kube::ResourceVersion(event.object));
        stop.request_stop();
      },
      stop.get_token()));
  EXPECT_EQ(std::stoi(moved), std::stoi(version) + 1);
}

TEST_F(ApiWatchTest, AnInitialListMayComeAsEvents) {
  Create("a");
  std::stop_source stop;
  std::vector<std::string> seen;
  EXPECT_TRUE(client_->Watch(
      "/api/v1/pods?sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "",
      [&](kube::WatchEvent& event) {
        seen.push_back(event.type);
        const auto* end =
            json::FindPath(event.object, {"metadata", "annotations", "k8s.io/initial-events-end"});
        if (end != nullptr) stop.request_stop();
      },
      stop.get_token()));
  EXPECT_THAT(seen, ElementsAre("ADDED", "BOOKMARK"));
}

TEST_F(ApiWatchTest, AForgottenVersionIsGoneAndAFutureOneTooLarge) {
  const std::string version = Version();
  for (int i = 0; i < 60; ++i) Create("p" + std::to_string(i));
  const auto ignore = [](kube::WatchEvent&) {};
  EXPECT_EQ(client_->Watch("/api/v1/pods", version, ignore, {}).error().code, Errc::kGone);
  EXPECT_EQ(client_->Watch("/api/v1/pods", "999999", ignore, {}).error().code, Errc::kUnavailable);
  EXPECT_EQ(client_->Watch("/api/v1/pods", "banana", ignore, {}).error().code,
            Errc::kInvalidArgument);
  EXPECT_EQ(Watch("/api/v1/pods", std::to_string(std::stoi(Version()) - 50), 50).size(), 50U)
      << "the whole window";
}

TEST_F(ApiWatchTest, KnobsCutAndExpireRunningWatches) {
  for (const bool cut : {true, false}) {
    std::atomic<bool> running{false};
    std::jthread knob([&] {
      while (!running) std::this_thread::yield();
      cut ? api_->CutWatches() : api_->ExpireWatches();
    });
    const auto ended =
        client_->Watch("/api/v1/pods", "", [&](kube::WatchEvent&) { running = true; }, {});
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().code, cut ? Errc::kUnavailable : Errc::kGone);
  }
}

TEST_F(ApiWatchTest, TheServerEndsAWatchAfterItsTime) {
  const auto begun = std::chrono::steady_clock::now();
  // The client asks for minutes itself; the first value of a doubled parameter counts.
  EXPECT_TRUE(client_->Watch("/api/v1/pods?timeoutSeconds=1", "", [](kube::WatchEvent&) {}, {}));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
}

TEST_F(ApiWatchTest, ManyTermsHoldTogetherAndAPodComesAndGoesWithItsLabelNodeAndPhase) {
  // Pods on a node that have not ended and lack a label, as the extender watches them.
  const std::string path =
      "/api/v1/pods?labelSelector=x%21%3D1"
      "&fieldSelector=spec.nodeName%21%3D%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
  const std::string version = Version();
  const auto pod = [](const std::string& name) { return std::string(kPods) + "/" + name; };
  const auto patch = [&](const std::string& at, const std::string& body) {
    ASSERT_TRUE(client_->Patch(at, kube::PatchType::kMerge, body));
  };
  Create("a");
  Create("b", R"(,"labels":{"x":"1"})");
  Create("c", R"(,"labels":{"x":"2"})");
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(client_->Post(pod(name) + "/binding", BindingJson(name, "n")));
  }
  patch(pod("a"), R"({"metadata":{"labels":{"x":"1"}}})");
  patch(pod("b"), R"({"metadata":{"labels":{"x":null}}})");
  patch(pod("b") + "/status", R"({"status":{"phase":"Failed"}})");
  patch(pod("c") + "/status", R"({"status":{"phase":"Running"}})");
  EXPECT_EQ(client_->List(path)->items.Size(), 1U);
  patch(pod("c") + "/status", R"({"status":{"phase":"Succeeded"}})");
  EXPECT_EQ(client_->List(path)->items.Size(), 0U);
  EXPECT_THAT(
      Watch(path, version, 7),
      ElementsAre("ADDED default/a", "ADDED default/c", "DELETED default/a", "ADDED default/b",
                  "DELETED default/b", "MODIFIED default/c", "DELETED default/c"));
}

}  // namespace
}  // namespace tessera::sim
