#include "extender/watch.h"

#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

#include "common/base/log.h"
#include "common/contract/cpu.h"
#include "common/kube/object.h"
#include "extender/wire_objects.h"

namespace tessera::extender {

namespace {

/// The uids of the list that is being told.
struct Listing {
  bool open = false;
  std::unordered_set<std::string> uids{};
};

}  // namespace

kube::ReflectorHandlers PodHandlers(Cache& cache, PodListener listener) {
  const auto listing = std::make_shared<Listing>();
  return {
      .on_upsert =
          [&cache, listing, on_pod = std::move(listener.on_pod)](const rapidjson::Value& pod) {
            if (listing->open) listing->uids.emplace(kube::Uid(pod));
            ApplyPod(cache, pod);
            if (on_pod) on_pod(pod);
          },
      .on_delete =
          [&cache, on_gone = std::move(listener.on_gone)](std::string_view, std::string_view uid) {
            cache.RemovePod(std::string(uid));
            if (on_gone) on_gone(uid);
          },
      .on_synced =
          [&cache, listing] {
            cache.EndList(listing->uids);
            *listing = {};
          },
      .on_list =
          [&cache, listing] {
            *listing = {.open = true};
            cache.BeginList();
          },
      .wants_list = [&cache] { return cache.WantsList(); }};
}

kube::ReflectorHandlers NodeHandlers(Cache& cache) {
  return {.on_upsert = [&cache](const rapidjson::Value& node) { ApplyNode(cache, node); },
          .on_delete = [&cache](std::string_view name,
                                std::string_view) { cache.RemoveNode(std::string(name)); }};
}

void ApplyPod(Cache& cache, const rapidjson::Value& pod) {
  const auto meta = ReadMeta(pod);
  if (!meta || meta->uid.empty()) return;
  if (HasEnded(pod)) {
    cache.RemovePod(meta->uid);
    return;
  }
  const std::string node = NodeNameOf(pod);
  if (node.empty()) {
    // A terminating pod is bound no more, however long finalizers keep it and what its status says.
    cache.SeeNomination(meta->uid, ImportanceOf(pod).terminating ? "" : NominatedNodeOf(pod));
    return;
  }
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
  cache.AddPod(meta->uid, node, *assignment, contract::PodCpuMilli(pod), ImportanceOf(pod));
}

void ApplyNode(Cache& cache, const rapidjson::Value& node) {
  const auto meta = ReadMeta(node);
  if (!meta) return;
  const auto inventory = ReadInventory(node);
  if (inventory && !*inventory) {
    log::Error("node's inventory cannot be read",
               {{"node", meta->name}, {"reason", inventory->error().message}});
  }
  cache.SetNode(meta->name, inventory, contract::NodeCpuMilli(node));
}

}  // namespace tessera::extender
