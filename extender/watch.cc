#include "extender/watch.h"

#include "common/base/log.h"
#include "extender/wire_objects.h"

namespace tessera::extender {

void ApplyPod(Cache& cache, const rapidjson::Value& pod) {
  const auto meta = ReadMeta(pod);
  if (!meta || meta->uid.empty()) return;
  if (HasEnded(pod)) {
    cache.RemovePod(meta->uid);
    return;
  }
  const std::string node = NodeNameOf(pod);
  if (node.empty()) return;
  const std::string key = meta->ns + "/" + meta->name;
  const auto assignment = ReadAssignment(pod);
  if (!assignment) {
    log::Warn("pod was bound without an assignment",
              {{"pod", key}, {"node", node}, {"uid", meta->uid}});
    cache.RemovePod(meta->uid);
    return;
  }
  if (!*assignment) {
    log::Error("pod's assignment cannot be read; nothing is placed on its node",
               {{"pod", key},
                {"node", node},
                {"uid", meta->uid},
                {"reason", assignment->error().message}});
  }
  cache.AddPod(meta->uid, node, *assignment);
}

void ApplyNode(Cache& cache, const rapidjson::Value& node) {
  const auto meta = ReadMeta(node);
  if (!meta) return;
  const auto inventory = ReadInventory(node);
  if (inventory && !*inventory) {
    log::Error("node's inventory cannot be read",
               {{"node", meta->name}, {"reason", inventory->error().message}});
  }
  cache.SetNode(meta->name, inventory);
}

}  // namespace tessera::extender
