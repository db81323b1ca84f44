// The agent's parts together, and tessera-agent itself, against the simulated API server and the
// simulated NVML.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include "agent/hardware.h"
#include "agent/metrics.h"
#include "agent/watches.h"
#include "agent/wire.h"
#include "common/contract/names.h"
#include "common/http/client.h"
#include "interceptor/region/grant.h"
#include "interceptor/region/region.h"
#include "sim/gpu/utilization.h"
#include "tests/agent/mps/fixture.h"
#include "tests/sim/kube/cluster.h"

extern char** environ;

namespace tessera::agent {
namespace {

using mps::Eventually;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kNode = "/api/v1/nodes/n1";
constexpr const char* kGpu = "GPU-00000000-0000-0000-0000-000000000001";

class Flow : public sim::ClusterTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(client_->Post("/api/v1/nodes",
                              R"({"metadata":{"name":"n1"},"status":{"capacity":{"cpu":"8"}}})"));
    ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n2"}})"));
  }
  std::string Inventory() {
    const auto node = client_->Get(kNode);
    return node ? DecodeNode(*node).value().inventory : "";
  }
  std::string Capacity(const char* resource) {
    return Text(kNode, {"status", "capacity", resource});
  }
  std::size_t Patches() const { return api_->journal().Count("PATCH", ".*"); }
  static contract::Inventory OneGpu() {
    binpack::GpuDevice gpu;
    gpu.uuid = kGpu;
    gpu.model = "Model";
    gpu.memory_mib = 24000;
    contract::Inventory inventory;
    inventory.gpus.push_back(gpu);
    return inventory;
  }
  /// A pod bound to `node`, as our extender binds it.
  void BindPod(const std::string& name, const std::string& node, const std::string& assignment) {
    ASSERT_TRUE(client_->Post(sim::kPods, sim::PodJson(name)));
    json::Writer quoted;
    quoted.String(assignment);
    ASSERT_TRUE(client_->Post(
        std::string(sim::kPods) + "/" + name + "/binding",
        sim::BindingJson(name, node,
                         R"(,"annotations":{"tessera.dev/assignment":)" + quoted.Take() + "}")));
  }
  static std::string Assignment(const std::string& node,
                                binpack::Isolation isolation = binpack::Isolation::kShared) {
    contract::Assignment assignment;
    assignment.node = node;
    assignment.isolation = isolation;
    assignment.placement.containers.push_back(
        {binpack::ContainerKind::kApp, 0, {{kGpu, 3000, 50}}});
    return contract::EncodeAssignment(assignment);
  }
};

class Publishing : public Flow {
 protected:
  void SetUp() override {
    Flow::SetUp();
    publisher_.SetInventory(OneGpu());
    watches_.Start();
    loop_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        (void)publisher_.Reconcile();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  void TearDown() override {
    loop_ = {};
    watcher_->Shutdown();
    watches_.Stop();
  }
  bool IsPublished() {
    return Eventually([&] {
      return Inventory() == contract::EncodeInventory(OneGpu()) &&
             Capacity("tessera.dev/gpu") == "100";
    });
  }

  std::unique_ptr<kube::Client> watcher_ = MakeClient();
  PodStore pods_;
  NodePublisher publisher_{*watcher_, "n1", clock_};
  Watches watches_{*watcher_, "n1", publisher_, pods_};
  std::jthread loop_;
};

TEST_F(Publishing, WritesOnceAndIsQuietThen) {
  ASSERT_TRUE(IsPublished());
  ASSERT_TRUE(Eventually([&] { return publisher_.NotPublishedReason().empty(); }));
  const std::size_t writes = Patches();
  EXPECT_EQ(writes, 2U);
  // Somebody else's changes of the node and of its pods are none of ours.
  ASSERT_TRUE(
      client_->Patch(kNode, kube::PatchType::kMerge, R"({"metadata":{"labels":{"a":"b"}}})"));
  BindPod("p", "n1", Assignment("n1"));
  ASSERT_TRUE(Eventually([&] { return pods_.List().size() == 1; }));
  EXPECT_EQ(Patches(), writes + 1) << "the test's own";
  EXPECT_EQ(Capacity("cpu"), "8");
}

TEST_F(Publishing, DriftIsRepairedAlsoAfterLostWatches) {
  ASSERT_TRUE(IsPublished());
  ASSERT_TRUE(client_->Patch(std::string(kNode) + "/status", kube::PatchType::kMerge,
                             R"({"status":{"capacity":{"tessera.dev/gpu":"0"}}})"));
  EXPECT_TRUE(IsPublished());
  api_->CutWatches();
  ASSERT_TRUE(
      client_->Patch(kNode, kube::PatchType::kMerge,
                     R"({"metadata":{"annotations":{"tessera.dev/inventory":"scribbled"}}})"));
  EXPECT_TRUE(IsPublished());
  api_->Compact();
  api_->ExpireWatches();
  ASSERT_TRUE(client_->Delete(kNode));
  ASSERT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})"));
  EXPECT_TRUE(IsPublished());
}

TEST_F(Publishing, AWriteThatTheServerRefusesOnceIsTriedAgain) {
  ASSERT_TRUE(IsPublished());
  sim::Fault fault;
  fault.method = "PATCH";
  fault.path = ".*/status";
  fault.code = 403;
  api_->faults().Add(fault);
  publisher_.SetInventory({});
  EXPECT_TRUE(Eventually([&] { return Capacity("tessera.dev/gpu") == "0"; }));
  EXPECT_TRUE(Eventually([&] { return publisher_.NotPublishedReason().empty(); }));
}

TEST_F(Publishing, SeesTheOwnNodesPodsAndABrokenOneHidesNobody) {
  BindPod("broken", "n1", "{");
  BindPod("other-node", "n2", Assignment("n2"));
  BindPod("good", "n1", Assignment("n1"));
  ASSERT_TRUE(Eventually([&] { return pods_.List().size() == 2; }));
  const auto pods = pods_.List();
  EXPECT_EQ(pods[0].name, "broken");
  EXPECT_NE(pods[0].assignment_error, "");
  EXPECT_EQ(pods[1].name, "good");
  EXPECT_TRUE(pods[1].assignment.has_value());
  ASSERT_TRUE(client_->Delete(std::string(sim::kPods) + "/good?gracePeriodSeconds=0"));
  EXPECT_TRUE(Eventually([&] { return pods_.List().size() == 1; }));
}

class Program : public Flow {
 protected:
  void SetUp() override {
    Flow::SetUp();
    folder_ = ::testing::TempDir() + "/agent.XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    std::ofstream(folder_ + "/gpus") << "driver version=580.1\ngpu uuid=" << kGpu
                                     << " model=\"Model\" memory_mib=24000 numa=0\n";
    std::ofstream(folder_ + "/kubeconfig") << api_->Kubeconfig("agent").value();
    setenv("TESSERA_SIM_GPUS", (folder_ + "/gpus").c_str(), 1);
    setenv("TESSERA_SIM_STATE", (folder_ + "/state").c_str(), 1);
  }
  void TearDown() override {
    if (pid_ > 0) Stop(SIGKILL);
    std::filesystem::remove_all(folder_);
  }

  /// Starts tessera-agent and waits for its port.
  void Start(const std::string& nvml, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {TESSERA_BINARY_DIR "/bin/tessera-agent",
                                     "--kubeconfig=" + folder_ + "/kubeconfig",
                                     "--node-name=n1",
                                     "--kubelet-pods-dir=" + folder_ + "/pods",
                                     "--nvml-library=" + nvml,
                                     "--interval=1",
                                     "--bind-address=127.0.0.1",
                                     "--port=0",
                                     "--port-file=" + folder_ + "/port"};
    args.insert(args.end(), more.begin(), more.end());
    std::filesystem::remove(folder_ + "/port");
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    ASSERT_EQ(posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ), 0);
    ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(folder_ + "/port"); }));
    std::ifstream(folder_ + "/port") >> port_;
  }
  /// The exit status; -1 if a signal ended it.
  int Stop(int signal_number) {
    kill(pid_, signal_number);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  http::Response Get(const std::string& path) {
    http::ClientOptions options;
    options.base_url = "http://127.0.0.1:" + std::to_string(port_);
    http::Client client(options);
    auto answer = client.Get(path);
    return answer ? *answer : http::Response{.status = 0};
  }

  /// A pod that runs, its container's process attached.
  void RunPod(const std::string& name, region::Region& region) {
    BindPod(name, "n1", Assignment("n1"));
    const std::string path = std::string(sim::kPods) + "/" + name;
    ASSERT_TRUE(client_->Patch(path + "/status", kube::PatchType::kMerge,
                               R"({"status":{"containerStatuses":[
                                   {"name":"main","state":{"running":{}}}]}})"));
    const std::filesystem::path region_path =
        RegionPath(folder_ + "/pods", Text(path, {"metadata", "uid"}), "c0");
    std::filesystem::create_directories(region_path.parent_path());
    region::DeviceConfig device;
    std::strncpy(device.uuid, kGpu, sizeof(device.uuid) - 1);
    device.limit_bytes = 1 << 30;
    ASSERT_EQ(
        region.Attach(region_path.parent_path().c_str(), {&device, 1}, region::Policy::kFixedShare),
        nullptr);
  }
  /// The simulated GPU is at work all the time, from a second ago on.
  void KeepGpuBusy() {
    ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(folder_ + "/state"); }));
    const auto state = sim::gpu::DeviceState::Open(folder_ + "/state", kGpu);
    ASSERT_TRUE(state.has_value()) << state.error().message;
    const std::uint64_t from = sim::gpu::NowNs() - 1'000'000'000;
    const std::uint64_t length = 20'000'000'000;
    sim::gpu::AddUtilization((*state)->file(), from, from + length, length);
  }
  static region::GrantView View(region::Region& region) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return region::ReadGrant(region.Grant(0),
                             static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count()));
  }

  std::string folder_;
  pid_t pid_ = 0;
  int port_ = 0;
};

TEST_F(Program, PublishesServesAndEndsOnSigterm) {
  Start(TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1");
  ASSERT_TRUE(Eventually([&] { return Get("/readyz").status == 200; })) << Get("/readyz").body;
  const auto inventory = contract::DecodeInventory(Inventory());
  ASSERT_TRUE(inventory.has_value()) << inventory.error().message;
  EXPECT_EQ(inventory->driver_version, "580.1");
  EXPECT_EQ(inventory->gpus.at(0).uuid, kGpu);
  EXPECT_EQ(Capacity("tessera.dev/gpu-memory"), "24000");
  BindPod("p", "n1", Assignment("n1"));
  const std::string labels = std::string("{node=\"n1\",gpu_uuid=\"") + kGpu + "\"";
  EXPECT_TRUE(Eventually([&] {
    return Get("/metrics")
               .body.find("tessera_gpu_memory_allocated_bytes" + labels + "} 3145728000") !=
           std::string::npos;
  })) << Get("/metrics").body;
  EXPECT_THAT(Get("/metrics").body, HasSubstr("tessera_agent_nvml_up{node=\"n1\"} 1"));
  EXPECT_EQ(Stop(SIGTERM), 0);
}

TEST_F(Program, ContainersThatShareAGpuGetTheirWindows) {
  Start(TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1");
  region::Region first;
  region::Region second;
  RunPod("first", first);
  RunPod("second", second);
  ASSERT_TRUE(Eventually([&] { return View(first).valid && View(second).valid; }));
  EXPECT_EQ(View(first).open_until_ns, region::kOpenForAll);
  const std::string labels = std::string("{node=\"n1\",gpu_uuid=\"") + kGpu + "\"";
  const auto says = [&](const std::string& metric, const std::string& value) {
    return Get("/metrics").body.find(metric + labels + value) != std::string::npos;
  };
  // One that says that it fills the GPU is not believed while NVML says that the GPU is idle.
  ASSERT_TRUE(Eventually([&] { return says("tessera_gpu_busy_ratio", "} 0\n"); }));
  first.SetRunning(0, true);
  second.SetRunning(0, true);
  EXPECT_TRUE(Eventually([&] { return View(first).HasEnd() && View(second).HasEnd(); }))
      << "before anything is known of them";
  EXPECT_TRUE(Eventually([&] { return View(first).open_until_ns == region::kOpenInRounds; }));
  KeepGpuBusy();
  EXPECT_TRUE(Eventually([&] { return View(first).HasEnd() && View(second).HasEnd(); }));
  EXPECT_TRUE(Eventually([&] {
    return says("tessera_gpu_arbitrated", "} 1\n") && says("tessera_gpu_busy_ratio", "} 1\n") &&
           says("tessera_container_gpu_window_wait_seconds_total", ",");
  })) << Get("/metrics").body;
  EXPECT_EQ(Stop(SIGTERM), 0);
  EXPECT_TRUE(Eventually([&] { return !View(first).valid && !View(second).valid; }));
}

TEST_F(Program, WithoutTheArbiterNobodyIsToldAnything) {
  Start(TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1", {"--no-arbiter"});
  region::Region region;
  RunPod("p", region);
  ASSERT_TRUE(Eventually([&] {
    return Get("/metrics").body.find("tessera_interceptor_attached") != std::string::npos;
  }));
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  EXPECT_EQ(region.Grant(0).heartbeat_ns.load(), 0U);
  EXPECT_THAT(Get("/metrics").body, Not(HasSubstr("tessera_gpu_arbitrated")));
  EXPECT_THAT(Get("/metrics").body, Not(HasSubstr("tessera_gpu_busy_ratio")));
  EXPECT_EQ(Stop(SIGTERM), 0);
}

TEST_F(Program, AGpuWithMpsPodsHasADaemonThatOutlivesTheAgent) {
  const mps::MpsFolder folder;
  const std::vector<std::string> flags = {"--mps", "--mps-root=" + folder.root(),
                                          "--mps-control=" + std::string(mps::MpsFolder::kProgram)};
  const auto offers = [&] {
    const auto inventory = contract::DecodeInventory(Inventory());
    return inventory && inventory->gpus.size() == 1 && inventory->gpus[0].mps;
  };
  const std::string labels = std::string("{node=\"n1\",gpu_uuid=\"") + kGpu + "\"}";
  Start(TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1", flags);
  ASSERT_TRUE(Eventually(offers));
  EXPECT_TRUE(folder.IsClosed(kGpu)) << "offered, and nobody enters yet";
  BindPod("shared", "n1", Assignment("n1"));
  BindPod("p", "n1", Assignment("n1", binpack::Isolation::kMps));
  ASSERT_TRUE(Eventually([&] { return folder.ContainerMayStart(kGpu); }));
  EXPECT_THAT(folder.Journal(kGpu), HasSubstr(std::string("start ") + kGpu + " -d"));
  folder.Tell(kGpu, "clients", "11\n12\n");
  EXPECT_TRUE(Eventually([&] {
    return Get("/metrics").body.find("tessera_mps_clients" + labels + " 2") != std::string::npos;
  })) << Get("/metrics").body;
  EXPECT_THAT(Get("/metrics").body, HasSubstr("tessera_mps_server_up" + labels + " 1"));
  const pid_t daemon = folder.Daemon(kGpu);
  Stop(SIGKILL);
  EXPECT_EQ(folder.Daemon(kGpu), daemon);
  Start(TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1", flags);
  ASSERT_TRUE(Eventually([&] {
    return Get("/metrics").body.find("tessera_mps_clients" + labels + " 2") != std::string::npos;
  }));
  EXPECT_EQ(folder.Daemon(kGpu), daemon) << "adopted";
  EXPECT_TRUE(folder.ContainerMayStart(kGpu));
  folder.Tell(kGpu, "clients", "");
  ASSERT_TRUE(client_->Delete(std::string(sim::kPods) + "/p?gracePeriodSeconds=0"));
  EXPECT_TRUE(Eventually([&] { return folder.IsClosed(kGpu); }));
  EXPECT_EQ(Stop(SIGTERM), 0);
}

TEST_F(Program, WithoutNvidiasControlProgramOnlyMpsIsMissing) {
  Start(TESSERA_BINARY_DIR "/lib/sim/libnvidia-ml.so.1",
        {"--mps", "--mps-root=" + folder_ + "/mps", "--mps-control=no-such-program"});
  ASSERT_TRUE(Eventually([&] { return Get("/readyz").status == 200; })) << Get("/readyz").body;
  EXPECT_TRUE(Eventually([&] {
    return Get("/metrics").body.find("tessera_mps_available{node=\"n1\"} 0") != std::string::npos;
  }));
  EXPECT_THAT(Inventory(), Not(HasSubstr("mps")));
  EXPECT_EQ(Stop(SIGTERM), 0);
}

TEST_F(Program, WithoutADriverItRunsAndSaysWhyItHasNoGpus) {
  Start("libnothing-of-that-name.so.9");
  ASSERT_TRUE(Eventually([&] { return Inventory() == contract::EncodeInventory({}); }));
  const auto ready = Get("/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, HasSubstr("libnothing-of-that-name.so.9"));
  EXPECT_THAT(Get("/metrics").body, HasSubstr("tessera_agent_nvml_up{node=\"n1\"} 0"));
  EXPECT_EQ(Get("/livez").status, 200);
  EXPECT_EQ(Stop(SIGTERM), 0);
}

TEST_F(Program, ADriverThatHangsKeepsItNeitherFromAnsweringNorFromEnding) {
  Start(TESSERA_BINARY_DIR "/tests/agent/libhanging_nvml.so");
  ASSERT_TRUE(Eventually([&] { return Get("/readyz").status == 503; }));
  EXPECT_THAT(Get("/readyz").body, HasSubstr("nvml"));
  EXPECT_THAT(Get("/metrics").body, HasSubstr("tessera_agent_nvml_up{node=\"n1\"} 0"));
  EXPECT_EQ(Inventory(), "") << "nothing is known, so nothing is said";
  EXPECT_EQ(Stop(SIGTERM), 0);
}

}  // namespace
}  // namespace tessera::agent
