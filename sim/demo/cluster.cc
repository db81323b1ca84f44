#include "sim/demo/cluster.h"

#include <system_error>

#include "common/contract/names.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibraryImage = "ghcr.io/tessera-dev/library:0.1.0";
constexpr const char* kProbeImage = "ghcr.io/tessera-dev/probe";
constexpr std::chrono::seconds kInventoryLimit{20};
constexpr std::chrono::milliseconds kExtenderTimeout{5000};

}  // namespace

Cluster::Cluster(Layout layout, fs::path work, ClusterOptions options, Waiter& waiter)
    : layout_(std::move(layout)),
      work_(std::move(work)),
      options_(std::move(options)),
      kubeconfig_((work_ / "kubeconfig").string()),
      base_env_{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + work_.string()},
      waiter_(waiter) {}

Cluster::~Cluster() { Stop(); }

Result<void> Cluster::StartControlPlane() {
  // The library's image has one file.
  std::error_code code;
  fs::create_directories(work_ / "images/library", code);
  fs::copy_file(layout_.interceptor(), work_ / "images/library" / names::kLibraryName, code);
  if (code) return Fail(Errc::kInternal, layout_.interceptor().string() + ": " + code.message());
  if (auto done = StartWebhook(); !done) return done;
  if (auto done = StartApiServer(); !done) return done;
  return RegisterNodes();
}

Result<void> Cluster::StartWebhook() {
  const fs::path certificates = work_ / "webhook-certificates";
  ComponentSpec spec;
  spec.name = "webhook";
  spec.argv = {layout_.Program("tessera-webhook"),
               "--self-signed-dir",
               certificates.string(),
               "--delivery",
               options_.delivery,
               "--library-image",
               kLibraryImage};
  spec.env = base_env_;
  spec.tls = true;
  spec.ca_file = (certificates / "ca.crt").string();
  TESSERA_TRY(webhook_, Component::Start(std::move(spec), work_));
  return webhook_->WaitReady(waiter_);
}

Result<void> Cluster::StartApiServer() {
  ComponentSpec spec;
  spec.name = "apiserver";
  spec.argv = {layout_.Program("tessera-sim"),
               "apiserver",
               "--kubeconfig-out",
               kubeconfig_,
               "--webhook-url",
               webhook_->url() + "/mutate",
               "--webhook-ca",
               (work_ / "webhook-certificates/ca.crt").string()};
  spec.env = base_env_;
  TESSERA_TRY(api_server_, Component::Start(std::move(spec), work_));
  if (auto port = api_server_->WaitPort(waiter_); !port) return port;
  TESSERA_TRY(auto config, kube::LoadConfig(kubeconfig_, "tessera-sim"));
  config.qps = 1000;
  config.burst = 1000;
  client_ = kube::MakeClient(std::move(config), clock_);
  return {};
}

NodeSettings Cluster::SettingsOf(const SimulatedNode& node) const {
  NodeSettings settings;
  settings.name = node.name;
  settings.volumes.pods_dir = PodsDir(node.name);
  settings.volumes.images = {{kLibraryImage, (work_ / "images/library").string()}};
  settings.entrypoints = {{kProbeImage, layout_.Program("tessera-probe").string()}};
  settings.bin_dir = layout_.bin_dir.string();
  settings.driver_dir = layout_.driver_dir().string();
  settings.gpus_file = (NodeFolder(node.name) / "gpus").string();
  settings.state_dir = (NodeFolder(node.name) / "gpu-state").string();
  settings.capacity = {{"cpu", "64"}, {"memory", "512Gi"}, {"pods", "110"}};
  return settings;
}

Result<void> Cluster::RegisterNodes() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    NodeSettings settings = SettingsOf(nodes_[i]);
    std::error_code code;
    fs::create_directories(settings.volumes.pods_dir, code);
    fs::create_directories(settings.state_dir, code);
    if (code || !WriteText(settings.gpus_file, GpusFile(nodes_[i], i))) {
      return Fail(Errc::kInternal, settings.gpus_file + " cannot be written");
    }
    runners_.push_back(std::make_unique<NodeRunner>(std::move(settings), *client_, clock_));
    if (auto done = runners_.back()->Register(); !done) return done;
  }
  return {};
}

Result<void> Cluster::StartAgent(const SimulatedNode& node) {
  const NodeSettings settings = SettingsOf(node);
  ComponentSpec spec;
  spec.name = "agent-" + node.name;
  spec.argv = {layout_.Program("tessera-agent"),
               "--kubeconfig",
               kubeconfig_,
               "--node-name",
               node.name,
               "--kubelet-pods-dir",
               settings.volumes.pods_dir,
               "--nvml-library",
               layout_.nvml()};
  spec.env = base_env_;
  spec.env.push_back("TESSERA_SIM_GPUS=" + settings.gpus_file);
  spec.env.push_back("TESSERA_SIM_STATE=" + settings.state_dir);
  TESSERA_TRY(agents_[node.name], Component::Start(std::move(spec), work_));
  return {};
}

Result<void> Cluster::StartComponents() {
  ComponentSpec spec;
  spec.name = "extender";
  spec.argv = {layout_.Program("tessera-extender"), "--kubeconfig", kubeconfig_};
  spec.env = base_env_;
  TESSERA_TRY(extender_, Component::Start(std::move(spec), work_));
  for (const SimulatedNode& node : nodes_) {
    if (auto done = StartAgent(node); !done) return done;
  }
  for (Component* component : components()) {
    if (component == api_server_.get() || component == webhook_.get()) continue;
    if (auto done = component->WaitReady(waiter_); !done) return done;
  }
  return waiter_.Until("every node has its inventory", kInventoryLimit,
                       [this] { return Inventories().has_value(); });
}

Result<std::map<std::string, contract::Inventory>> Cluster::Inventories() {
  std::map<std::string, contract::Inventory> out;
  for (const SimulatedNode& node : nodes_) {
    TESSERA_TRY(const auto object, client_->Get("/api/v1/nodes/" + node.name));
    auto inventory =
        contract::DecodeInventory(TextAt(object, {"metadata", "annotations", names::kInventory}));
    if (!inventory) return Wrap(inventory.error(), "node " + node.name);
    out[node.name] = *std::move(inventory);
  }
  return out;
}

void Cluster::StartPods() {
  SchedulerPolicy policy;
  for (const auto& resource : {names::kResourceGpu, names::kResourceGpuMemory,
                               names::kResourceGpuMemoryPercent, names::kResourceGpuCores}) {
    policy.managed_resources.emplace_back(resource);
  }
  extender_client_ = std::make_unique<ExtenderClient>(extender_->url(), kExtenderTimeout);
  scheduler_ = std::make_unique<Scheduler>(*client_, *extender_client_, std::move(policy), clock_,
                                           std::string(names::kSchedulerName));
  scheduler_->Start();
  for (const auto& runner : runners_) runner->Start();
}

std::vector<Component*> Cluster::components() {
  std::vector<Component*> out;
  for (auto* component : {&webhook_, &api_server_, &extender_}) {
    if (*component) out.push_back(component->get());
  }
  for (auto& [node, agent] : agents_) out.push_back(agent.get());
  return out;
}

void Cluster::Stop() {
  if (scheduler_) scheduler_->Stop();
  for (const auto& runner : runners_) runner->Stop();
  if (client_) client_->Shutdown();
  runners_.clear();
  scheduler_.reset();
  agents_.clear();
  extender_.reset();
  api_server_.reset();
  webhook_.reset();
}

}  // namespace tessera::sim
