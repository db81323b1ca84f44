// The reflector against a server that loses watches and history.
#include "common/kube/reflector.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "common/kube/object.h"
#include "tests/sim/kube/cluster.h"

namespace tessera::sim {
namespace {

class ReflectorTest : public ClusterTest {
 protected:
  ReflectorTest() : ClusterTest({.bookmark_interval = std::chrono::milliseconds(20)}) {
    reflector_.Start();
  }
  ~ReflectorTest() override { reflector_.Stop(); }

  /// Waits until the copy holds exactly these names.
  bool Holds(const std::vector<std::string>& names) {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      if (copy_.size() != names.size()) return false;
      return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        return copy_.contains("default/" + name);
      });
    });
  }
  void Create(const std::string& name) { ASSERT_TRUE(client_->Post(kPods, PodJson(name))); }
  void Remove(const std::string& name) {
    ASSERT_TRUE(client_->Delete(std::string(kPods) + "/" + name));
  }

  std::mutex mu_;
  std::condition_variable changed_;
  std::map<std::string, std::string> copy_;
  std::unique_ptr<kube::Client> watcher_ = MakeClient();
  kube::Reflector reflector_{
      *watcher_,
      "/api/v1/pods",
      {.on_upsert =
           [this](const rapidjson::Value& object) {
             const std::lock_guard lock(mu_);
             copy_[kube::Key(object)] = kube::Uid(object);
             changed_.notify_all();
           },
       .on_delete =
           [this](std::string_view key, std::string_view uid) {
             const std::lock_guard lock(mu_);
             EXPECT_EQ(copy_[std::string(key)], uid);
             copy_.erase(std::string(key));
             changed_.notify_all();
           },
       .on_synced = [this] { changed_.notify_all(); }},
      {.base = std::chrono::milliseconds(1), .max = std::chrono::milliseconds(10)}};
};

TEST_F(ReflectorTest, FollowsTheServer) {
  Create("a");
  Create("b");
  EXPECT_TRUE(Holds({"a", "b"}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!reflector_.synced() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_TRUE(reflector_.synced());
  Remove("a");
  EXPECT_TRUE(Holds({"b"}));
}

TEST_F(ReflectorTest, ACutWatchLosesNothingAndListsNothingAnew) {
  Create("a");
  ASSERT_TRUE(Holds({"a"}));
  const auto lists = [&] {
    std::size_t count = 0;
    for (const auto& entry : api_->journal().All()) {
      count += entry.path == "/api/v1/pods" && !entry.query.contains("watch") ? 1 : 0;
    }
    return count;
  };
  const auto before = lists();
  api_->CutWatches();
  Create("b");
  Remove("a");
  EXPECT_TRUE(Holds({"b"}));
  EXPECT_EQ(lists(), before);
}

TEST_F(ReflectorTest, AfterAnExpiredWatchANewListTellsWhatWasMissed) {
  Create("a");
  Create("b");
  ASSERT_TRUE(Holds({"a", "b"}));
  // The new list must fail first, so that the changes fall into the gap.
  api_->faults().Add({.kind = Fault::Kind::kAnswer,
                      .method = "GET",
                      .path = "/api/v1/pods",
                      .times = 2,
                      .code = 500});
  api_->ExpireWatches();
  Remove("a");
  Create("c");
  EXPECT_TRUE(Holds({"b", "c"}));
}

TEST_F(ReflectorTest, SurvivesForgottenHistory) {
  Create("a");
  ASSERT_TRUE(Holds({"a"}));
  api_->faults().Add({.kind = Fault::Kind::kAnswer,
                      .method = "GET",
                      .path = "/api/v1/pods",
                      .times = 1,
                      .code = 410});
  api_->CutWatches();
  Remove("a");
  Create("b");
  EXPECT_TRUE(Holds({"b"}));
}

TEST_F(ReflectorTest, ARecreatedObjectHasItsNewUid) {
  Create("a");
  ASSERT_TRUE(Holds({"a"}));
  api_->CutWatches();
  Remove("a");
  Create("a");
  const std::string uid = Text(std::string(kPods) + "/a", {"metadata", "uid"});
  std::unique_lock lock(mu_);
  EXPECT_TRUE(
      changed_.wait_for(lock, std::chrono::seconds(10), [&] { return copy_["default/a"] == uid; }));
}

TEST_F(ReflectorTest, StopEndsAQuietWatchAtOnce) {
  Create("a");
  ASSERT_TRUE(Holds({"a"}));
  const auto begun = std::chrono::steady_clock::now();
  reflector_.Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  reflector_.Stop();
}

}  // namespace
}  // namespace tessera::sim
