#include "sim/runner/pod_runner.h"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "sim/object.h"
#include "tests/sim/temp_folder.h"

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;
using rapidjson::Document;
using testing::HasSubstr;

/// Keeps the status patches that a kubelet sends; knows nothing else.
class StatusSink final : public kube::Client {
 public:
  Result<Document> Patch(const std::string& path, kube::PatchType,
                         const std::string& body) override {
    const std::lock_guard lock(mu_);
    const std::string phase = TextAt(json::Parse(body).value(), {"status", "phase"});
    if (phase == refused_ && std::exchange(refused_, "") != "") {
      return Fail(Errc::kUnavailable, "etcd is away");
    }
    path_ = path;
    last_ = body;
    phases_.push_back(phase);
    wake_.notify_all();
    return Document();
  }
  /// Blocks until the phase was told; the deadline fails the test.
  bool WaitForPhase(const std::string& phase) {
    std::unique_lock lock(mu_);
    return wake_.wait_for(lock, std::chrono::seconds(20), [&] {
      return std::find(phases_.begin(), phases_.end(), phase) != phases_.end();
    });
  }
  /// The first patch with that phase fails.
  void Refuse(const std::string& phase) {
    const std::lock_guard lock(mu_);
    refused_ = phase;
  }
  std::string last() {
    const std::lock_guard lock(mu_);
    return last_;
  }
  std::string path() {
    const std::lock_guard lock(mu_);
    return path_;
  }
  Result<Document> Get(const std::string&) override { return Document(); }
  Result<kube::ListResult> List(const std::string&) override { return kube::ListResult(); }
  Result<Document> Post(const std::string&, const std::string&) override { return Document(); }
  Result<Document> Put(const std::string&, const std::string&) override { return Document(); }
  Result<void> Delete(const std::string&) override { return {}; }
  Result<void> Watch(const std::string&, const std::string&,
                     const std::function<void(kube::WatchEvent&)>&, std::stop_token) override {
    return {};
  }

 private:
  std::mutex mu_;
  std::condition_variable wake_;
  std::string path_;
  std::string refused_;
  std::string last_;
  std::vector<std::string> phases_;
};

class PodRunnerTest : public testing::Test {
 protected:
  PodRunnerTest() {
    node_.name = "n1";
    node_.volumes.pods_dir = folder_.path();
  }
  static PodObject Pod(const std::string& spec, const std::string& annotation = "") {
    return std::make_shared<Document>(
        json::Parse(R"({"metadata":{"name":"p","namespace":"d","uid":"u1","annotations":{"a":")" +
                    annotation + R"("}},"spec":{"restartPolicy":"Never",)" + spec + "}}")
            .value());
  }
  static std::string Shell(const std::string& name, const std::string& script,
                           const std::string& more = "") {
    return R"({"name":")" + name + R"(","image":"x","command":["sh","-c",")" + script + "\"]" +
           more + "}";
  }
  std::string Log(const std::string& container) const {
    return ReadFile(folder_.path() / "u1" / (container + ".log"));
  }
  bool WaitForLog(const std::string& container, const std::string& text) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      if (Log(container).find(text) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }

  TempFolder folder_;
  NodeSettings node_;
  StatusSink api_;
  SystemClock clock_;
};

TEST_F(PodRunnerTest, RunsInitContainersInOrderAndThenTheOthers) {
  PodRunner runner(Pod(R"("initContainers":[)" + Shell("one", "echo 1 >> order") + "," +
                       Shell("two", "echo 2 >> order") + R"(],"containers":[)" +
                       Shell("main", "echo 3 >> order; cat order") + "]"),
                   node_, api_, clock_);
  ASSERT_TRUE(api_.WaitForPhase("Succeeded")) << api_.last();
  EXPECT_EQ(Log("main"), "1\n2\n3\n");
  EXPECT_EQ(api_.path(), "/api/v1/namespaces/d/pods/p/status");
}

TEST_F(PodRunnerTest, AStatusThatTheServerDidNotTakeIsToldAgain) {
  api_.Refuse("Succeeded");
  PodRunner runner(Pod(R"("containers":[)" + Shell("main", "true") + "]"), node_, api_, clock_);
  EXPECT_TRUE(api_.WaitForPhase("Succeeded")) << api_.last();
}

TEST_F(PodRunnerTest, AFailingInitContainerKeepsTheOthersFromStarting) {
  PodRunner runner(Pod(R"("initContainers":[)" + Shell("one", "exit 4") + R"(],"containers":[)" +
                       Shell("main", "echo ran") + "]"),
                   node_, api_, clock_);
  ASSERT_TRUE(api_.WaitForPhase("Failed")) << api_.last();
  EXPECT_THAT(api_.last(), HasSubstr("\"exitCode\":4"));
  EXPECT_EQ(Log("main"), "");
}

TEST_F(PodRunnerTest, ASidecarRunsBesideAndEndsAfterTheMainContainer) {
  PodRunner runner(
      Pod(R"("initContainers":[)" +
          Shell("side", "echo up > up; exec sleep 1000", R"(,"restartPolicy":"Always")") +
          R"(],"containers":[)" + Shell("main", "until test -e up; do :; done; echo done") + "]"),
      node_, api_, clock_);
  ASSERT_TRUE(api_.WaitForPhase("Succeeded")) << api_.last();
  EXPECT_EQ(Log("main"), "done\n");
}

TEST_F(PodRunnerTest, DownwardFilesFollowTheAnnotationWhileThePodRuns) {
  const std::string spec =
      R"("volumes":[{"name":"v","downwardAPI":{"items":[{"path":"limits","fieldRef":{"fieldPath":"metadata.annotations['a']"}}]}}],
      "containers":[)" +
      Shell("main", "cat /etc/tessera/limits",
            R"(,"volumeMounts":[{"name":"v","mountPath":"/etc/tessera"}],
      "env":[{"name":"X","value":"/etc/tessera"}])") +
      "]";
  std::string with_env = spec;
  with_env.replace(with_env.find("cat /etc/tessera/limits"), 23,
                   "until grep -q new $X/limits; do :; done; cat $X/limits");
  PodRunner runner(Pod(with_env, "old"), node_, api_, clock_);
  ASSERT_TRUE(api_.WaitForPhase("Running")) << api_.last();
  runner.Update(Pod(with_env, "new"));
  ASSERT_TRUE(api_.WaitForPhase("Succeeded")) << api_.last();
  EXPECT_EQ(Log("main"), "new");
}

TEST_F(PodRunnerTest, TheEndOfThePodEndsItsProcessesAndRemovesItsVolumes) {
  {
    PodRunner runner(Pod(R"("volumes":[{"name":"v","emptyDir":{}}],"containers":[)" +
                         Shell("main", "echo $$$$; exec sleep 1000") + "]"),
                     node_, api_, clock_);
    ASSERT_TRUE(api_.WaitForPhase("Running")) << api_.last();
    ASSERT_TRUE(WaitForLog("main", "\n"));
    EXPECT_TRUE(fs::exists(folder_.path() / "u1/volumes/kubernetes.io~empty-dir/v"));
  }
  EXPECT_NE(kill(std::stoi(Log("main")), 0), 0);
  EXPECT_FALSE(fs::exists(folder_.path() / "u1/volumes"));
}

TEST_F(PodRunnerTest, WhatCannotBeMadeIsSaidInTheStatus) {
  PodRunner runner(
      Pod(R"("volumes":[{"name":"s","secret":{}}],"containers":[)" + Shell("main", "true") + "]"),
      node_, api_, clock_);
  ASSERT_TRUE(api_.WaitForPhase("Pending"));
  EXPECT_THAT(api_.last(), HasSubstr("volume s"));
}

TEST_F(PodRunnerTest, AnUnknownImageIsSaidInTheStatus) {
  PodRunner runner(Pod(R"("containers":[{"name":"main","image":"unknown:1"}])"), node_, api_,
                   clock_);
  ASSERT_TRUE(api_.WaitForPhase("Failed")) << api_.last();
  EXPECT_THAT(api_.last(), HasSubstr("unknown:1"));
}

}  // namespace
}  // namespace tessera::sim
