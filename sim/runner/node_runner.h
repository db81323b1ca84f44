#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/kube/client.h"
#include "common/kube/reflector.h"
#include "sim/runner/pod_runner.h"

namespace tessera::sim {

/// Plays the kubelet of one node: registers the Node object and runs the pods that are bound to it.
/// Start and Stop from one thread.
class NodeRunner {
 public:
  /// `client` and `clock` must outlive the runner.
  NodeRunner(NodeSettings settings, kube::Client& client, const Clock& clock);
  ~NodeRunner();  ///< stops

  /// Creates the Node object, unless it exists. Errors: the API server's.
  Result<void> Register();
  void Start();
  /// Ends all containers of the node. Twice is fine.
  void Stop();

 private:
  void OnPod(const rapidjson::Value& pod);
  void Forget(const std::string& uid);

  const NodeSettings settings_;
  kube::Client& client_;
  const Clock& clock_;
  std::map<std::string, std::unique_ptr<PodRunner>>
      pods_;  ///< by uid; the reflector's thread, then Stop's
  kube::Reflector reflector_;
};

/// The Node object that a kubelet registers. Pure.
std::string NodeObject(const NodeSettings& settings);

}  // namespace tessera::sim
