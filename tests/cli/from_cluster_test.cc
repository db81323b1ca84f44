// kubectl-tessera itself, as a process, against an API server.
#include <gmock/gmock.h>

#include "common/contract/assignment.h"
#include "common/contract/inventory.h"
#include "sim/runner/process.h"
#include "tests/sim/kube/cluster.h"
#include "tests/sim/temp_folder.h"

namespace tessera::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Answer {
  int status = 0;
  std::string text;  ///< stdout and stderr
};

class FromCluster : public sim::ClusterTest {
 protected:
  void SetUp() override { UseKubeconfig(api_->Kubeconfig("reader").value()); }

  void UseKubeconfig(const std::string& text) {
    std::ofstream(kubeconfig_, std::ios::binary | std::ios::trunc) << text;
  }

  Answer Run(std::vector<std::string> arguments) {
    const auto output = folder_.path() / "output";
    std::filesystem::remove(output);
    sim::ProcessSpec spec{.argv = {std::string(TESSERA_BINARY_DIR) + "/bin/kubectl-tessera",
                                   "simulate", "--from-cluster", "--kubeconfig", kubeconfig_},
                          .env = {},
                          .cwd = {},
                          .output_file = output};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    const auto process = sim::Process::Start(spec);
    EXPECT_TRUE(process) << process.error().message;
    if (!process) return {-1, ""};
    const int status = (*process)->Wait();
    return {status, sim::ReadFile(output)};
  }

  void CreateNode(const std::string& name, int gpus) {
    contract::Inventory inventory{.driver_version = "1", .gpus = {}};
    for (int i = 0; i < gpus; ++i) {
      inventory.gpus.push_back({.uuid = name + "-" + std::to_string(i),
                                .index = i,
                                .model = "NVIDIA A10",
                                .memory_mib = 20000});
    }
    json::Writer annotation;
    annotation.String(contract::EncodeInventory(inventory));
    const auto created =
        client_->Post("/api/v1/nodes", R"({"metadata":{"name":")" + name +
                                           R"(","annotations":{"tessera.dev/inventory":)" +
                                           annotation.Take() + "}}}");
    ASSERT_TRUE(created) << created.error().message;
    SetStatus("/api/v1/nodes/" + name, R"("allocatable":{"cpu":"32","memory":"64Gi"})");
  }

  void SetStatus(const std::string& path, const std::string& status) {
    const auto patched =
        client_->Patch(path + "/status", kube::PatchType::kMerge, R"({"status":{)" + status + "}}");
    ASSERT_TRUE(patched) << patched.error().message;
  }

  /// A running pod with half of one GPU of the node, as the extender leaves it behind.
  void CreatePod(const std::string& name, const std::string& node, const std::string& cpu = "4") {
    const contract::Assignment half{
        .node = node,
        .placement = {{{binpack::ContainerKind::kApp, 0, {{node + "-0", 10000, 50}}}}}};
    json::Writer assignment;
    assignment.String(contract::EncodeAssignment(half));
    const auto created = client_->Post(
        sim::kPods,
        R"({"metadata":{"name":")" + name + R"(","labels":{"tessera.dev/managed":"true"},)" +
            R"("annotations":{"tessera.dev/assignment":)" + assignment.Take() +
            R"(}},"spec":{"nodeName":")" + node +
            R"(","containers":[{"name":"main","image":"x","resources":{"requests":{"cpu":")" + cpu +
            R"("},"limits":{"tessera.dev/gpu":"1","tessera.dev/gpu-memory":"10000",)" +
            R"("tessera.dev/gpu-cores":"50"}}}]}})");
    ASSERT_TRUE(created) << created.error().message;
    SetStatus(sim::kPods + ("/" + name), R"("phase":"Running")");
  }

  sim::TempFolder folder_;
  const std::string kubeconfig_ = folder_.path() / "kubeconfig";
};

TEST_F(FromCluster, ReplaysTheRunningPodsOnTheEmptyNodes) {
  CreateNode("a", 2);
  CreateNode("b", 1);
  for (const char* pod : {"p", "q", "r"}) CreatePod(pod, "a");
  const Answer answer =
      Run({"--policy", "fragment,best-fit", "--load", "1.0", "-o", "json", "--seed", "7"});
  ASSERT_EQ(answer.status, 0) << answer.text;
  // Halves fill all of the three GPUs, which are six pods, whatever the order.
  for (const char* policy : {"fragment", "best-fit"}) {
    EXPECT_THAT(answer.text, HasSubstr(std::string(R"({"policy":")") + policy +
                                       R"(","seed":7,"alloc":{"1.0":1.00000},)" +
                                       R"("allocMemory":{"1.0":1.00000},"failed":0,)"));
  }
}

TEST_F(FromCluster, CpuOfTheNodesLimitsWhatFits) {
  CreateNode("a", 2);
  CreatePod("p", "a", "16");
  const Answer answer = Run({"--policy", "best-fit", "--load", "1.0", "-o", "json"});
  // 32 CPUs hold two of the four pods that two GPUs would.
  EXPECT_THAT(answer.text,
              AllOf(HasSubstr(R"("alloc":{"1.0":0.50000})"), HasSubstr(R"("failed":2,)")))
      << answer.status;
}

TEST_F(FromCluster, SaysHowManyObjectsItCouldNotRead) {
  CreateNode("a", 1);
  CreatePod("p", "a");
  CreatePod("odd", "a", "three");
  const Answer answer = Run({"--policy", "best-fit"});
  EXPECT_EQ(answer.status, 0);
  EXPECT_THAT(answer.text, AllOf(HasSubstr("1 nodes or pods could not be read and are left out"),
                                 HasSubstr("best-fit")));
}

TEST_F(FromCluster, AClusterWithoutGpusIsAnErrorThatSaysWhatIsMissing) {
  ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"plain"}})"));
  const Answer nodes = Run({});
  EXPECT_EQ(nodes.status, 1);
  EXPECT_EQ(nodes.text, "kubectl-tessera: no node has a GPU inventory (tessera.dev/inventory)\n");

  CreateNode("a", 1);
  const Answer pods = Run({});
  EXPECT_EQ(pods.status, 1);
  EXPECT_EQ(pods.text, "kubectl-tessera: no running pod asks for a GPU\n");
}

TEST_F(FromCluster, AKubeconfigThatIsNotThereIsAnErrorThatNamesIt) {
  std::filesystem::remove(kubeconfig_);
  const Answer answer = Run({});
  EXPECT_EQ(answer.status, 1);
  EXPECT_THAT(answer.text, AllOf(testing::StartsWith("kubectl-tessera: "), HasSubstr(kubeconfig_)));
}

TEST_F(FromCluster, AServerThatIsNotThereIsAnErrorThatNamesIt) {
  std::string kubeconfig = api_->Kubeconfig("reader").value();
  const std::string nobody = "https://127.0.0.1:1";
  kubeconfig.replace(kubeconfig.find(api_->url()), api_->url().size(), nobody);
  UseKubeconfig(kubeconfig);
  const Answer answer = Run({});
  EXPECT_EQ(answer.status, 1);
  EXPECT_THAT(answer.text, testing::StartsWith("kubectl-tessera: " + nobody + ": "));
}

}  // namespace
}  // namespace tessera::cli
