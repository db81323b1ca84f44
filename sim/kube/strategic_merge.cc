#include "sim/kube/strategic_merge.h"

#include <array>
#include <string_view>
#include <utility>

#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Document;
using rapidjson::Value;

const char* MergeKey(std::string_view list) {
  static constexpr std::array<std::pair<std::string_view, const char*>, 13> kKeys = {{
      {"containers", "name"},
      {"initContainers", "name"},
      {"ephemeralContainers", "name"},
      {"env", "name"},
      {"volumes", "name"},
      {"imagePullSecrets", "name"},
      {"schedulingGates", "name"},
      {"volumeMounts", "mountPath"},
      {"volumeDevices", "devicePath"},
      {"ports", "containerPort"},
      {"conditions", "type"},
      {"addresses", "type"},
      {"ownerReferences", "uid"},
  }};
  for (const auto& [name, key] : kKeys) {
    if (name == list) return key;
  }
  return nullptr;
}

void MergeStrategically(Value& target, const Value& patch, Document::AllocatorType& allocator);

void MergeList(Value& target, const Value& patch, const char* key,
               Document::AllocatorType& allocator) {
  for (const Value& entry : patch.GetArray()) {
    const Value* wanted = json::Find(entry, key);
    if (wanted == nullptr) continue;
    Value* present = nullptr;
    for (Value& each : target.GetArray()) {
      const Value* id = json::Find(each, key);
      if (id != nullptr && *id == *wanted) present = &each;
    }
    if (TextAt(entry, {"$patch"}) == "delete") {
      if (present != nullptr) target.Erase(present);
    } else if (present != nullptr) {
      MergeStrategically(*present, entry, allocator);
    } else {
      target.PushBack(Value(entry, allocator), allocator);
    }
  }
}

void MergeStrategically(Value& target, const Value& patch, Document::AllocatorType& allocator) {
  if (!patch.IsObject() || !target.IsObject()) {
    target.CopyFrom(patch, allocator);
    return;
  }
  for (const auto& [name, value] : patch.GetObject()) {
    const auto present = target.FindMember(name);
    const char* key = value.IsArray() ? MergeKey(json::View(name)) : nullptr;
    if (value.IsNull()) {
      if (present != target.MemberEnd()) target.EraseMember(present);
    } else if (present == target.MemberEnd()) {
      target.AddMember(Value(name, allocator), Value(value, allocator), allocator);
    } else if (key != nullptr && present->value.IsArray()) {
      MergeList(present->value, value, key, allocator);
    } else {
      MergeStrategically(present->value, value, allocator);
    }
  }
}

}  // namespace

void ApplyStrategicMerge(Value& object, const Value& patch, Document::AllocatorType& allocator) {
  MergeStrategically(object, patch, allocator);
}

}  // namespace tessera::sim
