#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "common/base/result.h"
#include "common/contract/assignment.h"
#include "common/contract/inventory.h"
#include "extender/importance.h"

/// The parts of Kubernetes objects that the extender reads and writes.
namespace tessera::extender {

struct ObjectMeta {
  std::string ns;    ///< empty for nodes
  std::string name;  ///< never empty
  std::string uid;   ///< may be empty
};
Result<ObjectMeta> ReadMeta(const rapidjson::Value& object);

/// Letters, digits, '-' and '.' only: safe in a path.
bool IsObjectName(std::string_view name);

/// True if the pod has the label tessera.dev/managed=true.
bool IsManaged(const rapidjson::Value& pod);
/// spec.nodeName, or empty.
std::string NodeNameOf(const rapidjson::Value& pod);
/// True if the pod has ended: status.phase Succeeded or Failed.
bool HasEnded(const rapidjson::Value& pod);
/// spec.priority; 0 if it has none or one that cannot be read.
std::int32_t PriorityOf(const rapidjson::Value& pod);
/// What a preemption weighs a pod by.
Importance ImportanceOf(const rapidjson::Value& pod);
/// status.nominatedNodeName, or empty.
std::string NominatedNodeOf(const rapidjson::Value& pod);
/// What the assignment annotation says; nothing if the pod has none.
std::optional<Result<contract::Assignment>> ReadAssignment(const rapidjson::Value& pod);
/// What the node's inventory annotation says; nothing if the node has none.
std::optional<Result<contract::Inventory>> ReadInventory(const rapidjson::Value& node);

/// A Binding with the pod's uid as precondition. The server merges the annotations into the pod.
std::string BindingJson(const ObjectMeta& pod, const std::string& node,
                        const std::map<std::string, std::string>& annotations);

}  // namespace tessera::extender
