#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/contract/inventory.h"
#include "common/kube/client.h"
#include "sim/demo/cluster_plan.h"
#include "sim/demo/component.h"
#include "sim/demo/layout.h"
#include "sim/demo/waiter.h"
#include "sim/runner/node_runner.h"
#include "sim/scheduler/extender_client.h"
#include "sim/scheduler/scheduler.h"

namespace tessera::sim {

struct ClusterOptions {
  std::string delivery = "image";  ///< of the webhook: image or init
};

/// The simulated cluster: API server, webhook, extender and one agent a node as processes; kubelets
/// and the scheduling loop as threads of ours. One thread only.
class Cluster {
 public:
  Cluster(Layout layout, std::filesystem::path work, ClusterOptions options, Waiter& waiter);
  ~Cluster();  ///< stops

  /// In the order in which they need each other. Errors name the component.
  Result<void> StartControlPlane();  ///< webhook, API server, Node objects
  Result<void>
  StartComponents();  ///< extender and agents; until all are ready and the inventory is published
  void StartPods();   ///< scheduling loop and kubelets
  /// Pods first, so that a container's end is still told. Twice is fine.
  void Stop();

  kube::Client& client() { return *client_; }
  Component& extender() { return *extender_; }
  Component& agent(const std::string& node) { return *agents_.at(node); }
  /// Every component, for logs and URLs.
  std::vector<Component*> components();
  const std::string& kubeconfig() const { return kubeconfig_; }
  const std::vector<SimulatedNode>& nodes() const { return nodes_; }
  /// By node, as the agents published it. Errors: a node has none, or it cannot be read.
  Result<std::map<std::string, contract::Inventory>> Inventories();
  std::filesystem::path PodsDir(const std::string& node) const { return NodeFolder(node) / "pods"; }

 private:
  Result<void> StartWebhook();
  Result<void> StartApiServer();
  Result<void> RegisterNodes();
  Result<void> StartAgent(const SimulatedNode& node);
  NodeSettings SettingsOf(const SimulatedNode& node) const;
  std::filesystem::path NodeFolder(const std::string& node) const { return work_ / "nodes" / node; }

  const Layout layout_;
  const std::filesystem::path work_;
  const ClusterOptions options_;
  const std::vector<SimulatedNode> nodes_ = DemoNodes();
  const std::string kubeconfig_;
  const std::vector<std::string> base_env_;
  Waiter& waiter_;
  SystemClock clock_;
  std::unique_ptr<Component> webhook_;
  std::unique_ptr<Component> api_server_;
  std::unique_ptr<Component> extender_;
  std::map<std::string, std::unique_ptr<Component>> agents_;
  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<ExtenderClient> extender_client_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<std::unique_ptr<NodeRunner>> runners_;
};

}  // namespace tessera::sim
