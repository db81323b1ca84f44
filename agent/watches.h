#pragma once

#include <string>

#include "agent/pod_store.h"
#include "agent/publisher.h"
#include "common/kube/reflector.h"

namespace tessera::agent {

/// The agent's two watches: its own node for the publisher, the node's pods for the store. Two
/// threads from Start to Stop. `client`, `publisher` and `pods` must outlive this.
class Watches {
 public:
  Watches(kube::Client& client, const std::string& node_name, NodePublisher& publisher,
          PodStore& pods);
  void Start();
  void Stop();
  bool pods_synced() const { return pods_.synced(); }
  bool node_synced() const { return node_.synced(); }

 private:
  kube::Reflector node_;
  kube::Reflector pods_;
};

}  // namespace tessera::agent
