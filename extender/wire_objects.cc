#include "extender/wire_objects.h"

#include <algorithm>
#include <ctime>

#include "common/contract/names.h"
#include "common/json/json.h"

namespace tessera::extender {
namespace {

using rapidjson::Value;

std::optional<std::string_view> Text(const Value& object,
                                     std::initializer_list<std::string_view> path) {
  const Value* found = json::FindPath(object, path);
  if (found == nullptr || !found->IsString()) return std::nullopt;
  return json::View(*found);
}

/// Of a time as Kubernetes writes it, "2026-11-22T13:05:00Z"; 0 for any other text.
std::int64_t SecondsOf(std::optional<std::string_view> text) {
  std::tm time{};
  if (!text || strptime(std::string(*text).c_str(), "%Y-%m-%dT%H:%M:%SZ", &time) == nullptr)
    return 0;
  return timegm(&time);
}

}  // namespace

Result<ObjectMeta> ReadMeta(const Value& object) {
  const auto meta = json::GetObject(object, "metadata");
  if (!meta) return tl::make_unexpected(meta.error());
  const auto get = [&](std::string_view name) { return json::GetStringOr(**meta, name, ""); };
  ObjectMeta out;
  for (const auto& [name, into] : {std::pair{"namespace", &out.ns}, std::pair{"name", &out.name},
                                   std::pair{"uid", &out.uid}}) {
    auto value = get(name);
    if (!value) return Fail(value.error().code, "metadata." + value.error().message);
    *into = *std::move(value);
  }
  if (out.name.empty()) return Fail(Errc::kInvalidArgument, "metadata.name is missing");
  return out;
}

bool IsObjectName(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
  };
  return !name.empty() && name.size() <= 253 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), allowed);
}

bool IsManaged(const Value& pod) {
  return Text(pod, {"metadata", "labels", names::kManagedLabel}) == "true";
}

std::string NodeNameOf(const Value& pod) {
  return std::string(Text(pod, {"spec", "nodeName"}).value_or(""));
}

bool HasEnded(const Value& pod) {
  const auto phase = Text(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

std::int32_t PriorityOf(const Value& pod) {
  const Value* priority = json::FindPath(pod, {"spec", "priority"});
  return priority != nullptr && priority->IsInt() ? priority->GetInt() : 0;
}

Importance ImportanceOf(const Value& pod) {
  std::int64_t started = SecondsOf(Text(pod, {"status", "startTime"}));
  if (started == 0) started = SecondsOf(Text(pod, {"metadata", "creationTimestamp"}));
  return {.priority = PriorityOf(pod),
          .started = started,
          .terminating = Text(pod, {"metadata", "deletionTimestamp"}).has_value()};
}

std::string NominatedNodeOf(const Value& pod) {
  return std::string(Text(pod, {"status", "nominatedNodeName"}).value_or(""));
}

std::optional<Result<contract::Assignment>> ReadAssignment(const Value& pod) {
  const auto text = Text(pod, {"metadata", "annotations", names::kAssignment});
  if (!text) return std::nullopt;
  return contract::DecodeAssignment(*text);
}

std::optional<Result<contract::Inventory>> ReadInventory(const Value& node) {
  const auto text = Text(node, {"metadata", "annotations", names::kInventory});
  if (!text) return std::nullopt;
  return contract::DecodeInventory(*text);
}

std::string BindingJson(const ObjectMeta& pod, const std::string& node,
                        const std::map<std::string, std::string>& annotations) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("apiVersion");
  writer.String("v1");
  writer.Key("kind");
  writer.String("Binding");
  writer.Key("metadata");
  writer.StartObject();
  for (const auto& [key, value] : {std::pair{"name", &pod.name}, std::pair{"namespace", &pod.ns},
                                   std::pair{"uid", &pod.uid}}) {
    writer.Key(key);
    writer.String(*value);
  }
  writer.Key("annotations");
  writer.StartObject();
  for (const auto& [key, value] : annotations) {
    writer.Key(key);
    writer.String(value);
  }
  writer.EndObject();
  writer.EndObject();
  writer.Key("target");
  writer.StartObject();
  writer.Key("apiVersion");
  writer.String("v1");
  writer.Key("kind");
  writer.String("Node");
  writer.Key("name");
  writer.String(node);
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

}  // namespace tessera::extender
