#include "agent/watches.h"

#include "agent/wire.h"
#include "common/base/log.h"

namespace tessera::agent {
namespace {

kube::ReflectorHandlers NodeHandlers(NodePublisher& publisher) {
  return {
      .on_upsert =
          [&publisher](const rapidjson::Value& object) {
            auto node = DecodeNode(object);
            if (node) {
              publisher.Observe(*std::move(node));
            } else {
              log::Warn("node cannot be read", {{"reason", node.error().message}});
            }
          },
      .on_delete = [&publisher](std::string_view, std::string_view) { publisher.ObserveGone(); },
      .on_synced = [] {}};
}

kube::ReflectorHandlers PodHandlers(PodStore& pods) {
  return {.on_upsert =
              [&pods](const rapidjson::Value& object) {
                auto pod = DecodePod(object);
                if (pod) {
                  pods.Upsert(*std::move(pod));
                } else {
                  log::Warn("pod cannot be read", {{"reason", pod.error().message}});
                }
              },
          .on_delete = [&pods](std::string_view key, std::string_view) { pods.Remove(key); },
          .on_synced = [] {}};
}

}  // namespace

Watches::Watches(kube::Client& client, const std::string& node_name, NodePublisher& publisher,
                 PodStore& pods)
    : node_(client, "/api/v1/nodes?fieldSelector=metadata.name%3D" + node_name,
            NodeHandlers(publisher)),
      pods_(client, "/api/v1/pods?fieldSelector=spec.nodeName%3D" + node_name, PodHandlers(pods)) {}

void Watches::Start() {
  node_.Start();
  pods_.Start();
}

void Watches::Stop() {
  node_.Stop();
  pods_.Stop();
}

}  // namespace tessera::agent
