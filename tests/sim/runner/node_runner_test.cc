// The simulated kubelet against the simulated API server.
#include "sim/runner/node_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/object.h"
#include "tests/sim/kube/cluster.h"
#include "tests/sim/temp_folder.h"
#include "tests/sim/wait.h"

namespace tessera::sim {
namespace {

class NodeRunnerTest : public ClusterTest {
 protected:
  ~NodeRunnerTest() override { runner_.Stop(); }
  NodeSettings Settings() {
    NodeSettings settings;
    settings.name = "n1";
    settings.volumes.pods_dir = folder_.path();
    settings.capacity = {{"cpu", "4"}};
    return settings;
  }
  void RunPod(const std::string& name, const std::string& script, const std::string& node = "n1") {
    ASSERT_TRUE(client_->Post(kPods, R"({"metadata":{"name":")" + name +
                                         R"("},"spec":{"restartPolicy":"Never",
      "containers":[{"name":"c","image":"x","command":["sh","-c",")" +
                                         script + "\"]}]}}"));
    ASSERT_TRUE(
        client_->Post(std::string(kPods) + "/" + name + "/binding", BindingJson(name, node)));
  }
  std::string Phase(const std::string& name) {
    const auto pod = client_->Get(std::string(kPods) + "/" + name);
    return pod ? TextAt(*pod, {"status", "phase"}) : "gone";
  }
  bool WaitForPhase(const std::string& name, const std::string& phase) {
    return WaitUntil([&] { return Phase(name) == phase; });
  }
  std::string Log(const std::string& name) {
    const auto pod = client_->Get(std::string(kPods) + "/" + name).value();
    return ReadFile(folder_.path() / TextAt(pod, {"metadata", "uid"}) / "c.log");
  }

  TempFolder folder_;
  std::unique_ptr<kube::Client> own_client_ = MakeClient();
  NodeRunner runner_{Settings(), *own_client_, clock_};
};

TEST_F(NodeRunnerTest, RegistersItsNodeOnce) {
  ASSERT_TRUE(runner_.Register());
  ASSERT_TRUE(runner_.Register()) << "twice is fine";
  const auto node = client_->Get("/api/v1/nodes/n1").value();
  EXPECT_EQ(TextAt(node, {"status", "capacity", "cpu"}), "4");
}

TEST_F(NodeRunnerTest, RunsThePodsOfItsNodeOnly) {
  runner_.Start();
  RunPod("mine", "echo hello");
  RunPod("other", "echo hello", "n2");
  ASSERT_TRUE(WaitForPhase("mine", "Succeeded"));
  EXPECT_EQ(Log("mine"), "hello\n");
  EXPECT_EQ(Phase("other"), "Pending");
}

TEST_F(NodeRunnerTest, ADeletedPodEndsAndIsGone) {
  runner_.Start();
  RunPod("p", "exec sleep 1000");
  ASSERT_TRUE(WaitForPhase("p", "Running"));
  ASSERT_TRUE(client_->Delete(std::string(kPods) + "/p"));
  EXPECT_TRUE(WaitForPhase("p", "gone"));
}

TEST_F(NodeRunnerTest, PodsThatHaveEndedAreNotRunAgainByANewKubelet) {
  runner_.Start();
  RunPod("p", "echo once");
  ASSERT_TRUE(WaitForPhase("p", "Succeeded"));
  runner_.Stop();
  NodeRunner again(Settings(), *own_client_, clock_);
  again.Start();
  RunPod("later", "true");
  ASSERT_TRUE(WaitForPhase("later", "Succeeded"));
  EXPECT_EQ(Log("p"), "once\n");
}

TEST_F(NodeRunnerTest, SurvivesThatItsWatchIsCut) {
  runner_.Start();
  RunPod("before", "exec sleep 1000");
  ASSERT_TRUE(WaitForPhase("before", "Running"));
  api_->ExpireWatches();
  RunPod("after", "true");
  EXPECT_TRUE(WaitForPhase("after", "Succeeded"));
  EXPECT_EQ(Phase("before"), "Running");
}

}  // namespace
}  // namespace tessera::sim
