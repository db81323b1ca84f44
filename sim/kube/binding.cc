#include "sim/kube/binding.h"

#include <string>
#include <utility>

#include "common/json/json.h"
#include "sim/kube/json_edit.h"
#include "sim/kube/strategic_merge.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Document;
using rapidjson::Value;

tl::unexpected<Refusal> BindingConflict(const std::string& pod, const std::string& why) {
  return Refuse(409, "Conflict",
                "Operation cannot be fulfilled on pods/binding \"" + pod + "\": " + why);
}

void MergeTexts(Value& metadata, const Value& binding, const char* field,
                Document::AllocatorType& allocator) {
  const Value* given = json::FindPath(binding, {"metadata", field});
  if (given == nullptr || !given->IsObject() || given->MemberCount() == 0) return;
  Value& into = ObjectAt(metadata, field, allocator);
  for (const auto& [key, value] : given->GetObject()) {
    const auto present = into.FindMember(key);
    if (present != into.MemberEnd()) {
      present->value.CopyFrom(value, allocator);
    } else {
      into.AddMember(Value(key, allocator), Value(value, allocator), allocator);
    }
  }
}

void SetScheduledCondition(Document& pod, WallTime now) {
  auto& allocator = pod.GetAllocator();
  Value condition(rapidjson::kObjectType);
  condition.AddMember("type", "PodScheduled", allocator);
  condition.AddMember("status", "True", allocator);
  condition.AddMember("lastTransitionTime", json::String(Timestamp(now), allocator), allocator);
  Value list(rapidjson::kArrayType);
  list.PushBack(condition, allocator);
  Value patch(rapidjson::kObjectType);
  patch.AddMember("conditions", list, allocator);
  Value& status = ObjectAt(pod, "status", allocator);
  ApplyStrategicMerge(status, patch, allocator);
}

}  // namespace

Reply<void> ApplyBinding(Document& pod, const Value& binding, WallTime now) {
  auto& allocator = pod.GetAllocator();
  const std::string name = TextAt(pod, {"metadata", "name"});
  const std::string node = TextAt(binding, {"target", "name"});
  const std::string kind = TextAt(binding, {"target", "kind"});
  if (node.empty())
    return Refuse(422, "Invalid",
                  "Binding \"" + name + "\" is invalid: target.name: Required value");
  if (!kind.empty() && kind != "Node") {
    return Refuse(
        422, "Invalid",
        "Binding \"" + name + "\" is invalid: target.kind: Unsupported value: \"" + kind + "\"");
  }
  const std::string given_name = TextAt(binding, {"metadata", "name"});
  if (!given_name.empty() && given_name != name) {
    return Refuse(400, "BadRequest", "name in URL does not match name in Binding object");
  }
  for (const auto& [field, words] : {std::pair<const char*, const char*>{"uid", "UID"},
                                     {"resourceVersion", "ResourceVersion"}}) {
    const std::string wanted = TextAt(binding, {"metadata", field});
    const std::string has = TextAt(pod, {"metadata", field});
    if (!wanted.empty() && wanted != has) {
      return BindingConflict(name, std::string("Precondition failed: ") + words +
                                       " in precondition: " + wanted + ", " + words +
                                       " in object meta: " + has);
    }
  }
  if (json::FindPath(pod, {"metadata", "deletionTimestamp"}) != nullptr) {
    return BindingConflict(name, "pod " + name + " is being deleted, cannot be assigned to a host");
  }
  if (const std::string at = TextAt(pod, {"spec", "nodeName"}); !at.empty()) {
    return BindingConflict(name, "pod " + name + " is already assigned to node \"" + at + "\"");
  }
  const Value* gates = json::FindPath(pod, {"spec", "schedulingGates"});
  if (gates != nullptr && gates->IsArray() && !gates->Empty()) {
    return BindingConflict(name, "pod " + name + " has non-empty .spec.schedulingGates");
  }
  Value& metadata = ObjectAt(pod, "metadata", allocator);
  MergeTexts(metadata, binding, "annotations", allocator);
  MergeTexts(metadata, binding, "labels", allocator);
  Set(ObjectAt(pod, "spec", allocator), "nodeName", json::String(node, allocator), allocator);
  SetScheduledCondition(pod, now);
  return {};
}

}  // namespace tessera::sim
