#include "sim/kube/object_rules.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <set>

#include "common/json/json.h"
#include "sim/kube/json_edit.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Document;
using rapidjson::Value;

tl::unexpected<Refusal> Invalid(const Target& target, const std::string& name,
                                const std::string& problem) {
  return Refuse(422, "Invalid",
                std::string(target.resource->kind) + " \"" + name + "\" is invalid: " + problem);
}

bool ValidName(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 253 || !letter(name.front()) || !letter(name.back()))
    return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || c == '-' || c == '.'; });
}

/// Annotations and labels are maps of text, whatever else an object is.
Reply<void> CheckTextMaps(const Target& target, const Value& object, const std::string& name) {
  for (const char* field : {"annotations", "labels"}) {
    const Value* map = json::FindPath(object, {"metadata", field});
    if (map == nullptr) continue;
    const std::string path = std::string("metadata.") + field;
    if (!map->IsObject()) return Invalid(target, name, path + ": must be a map of strings");
    for (const auto& [key, value] : map->GetObject()) {
      if (!value.IsString()) {
        return Refuse(400, "BadRequest",
                      path + "[" + std::string(json::View(key)) + "]: must be a string");
      }
    }
  }
  return {};
}

/// limits without requests: the API server copies them.
void DefaultRequests(Value& container, Document::AllocatorType& allocator) {
  Value* resources = container.IsObject() ? Member(container, "resources") : nullptr;
  Value* limits = resources == nullptr ? nullptr : Member(*resources, "limits");
  if (limits == nullptr || !limits->IsObject() || limits->MemberCount() == 0) return;
  const Value copy(*limits, allocator);
  Value& requests = ObjectAt(*resources, "requests", allocator);
  for (const auto& [name, quantity] : copy.GetObject()) {
    if (!requests.HasMember(name)) {
      requests.AddMember(Value(name, allocator), Value(quantity, allocator), allocator);
    }
  }
}

Reply<void> PreparePod(const Target& target, Document& pod, const std::string& name) {
  auto& allocator = pod.GetAllocator();
  Value* spec = Member(pod, "spec");
  const Value* containers = spec == nullptr ? nullptr : json::Find(*spec, "containers");
  if (containers == nullptr || !containers->IsArray() || containers->Empty()) {
    return Invalid(target, name, "spec.containers: Required value");
  }
  std::set<std::string> names;
  for (const char* list : {"initContainers", "containers"}) {
    Value* all = Member(*spec, list);
    if (all == nullptr || !all->IsArray()) continue;
    for (Value& container : all->GetArray()) {
      const std::string container_name = TextAt(container, {"name"});
      if (!ValidName(container_name)) {
        return Invalid(target, name, std::string("spec.") + list + "[].name: Required value");
      }
      if (!names.insert(container_name).second) {
        return Invalid(
            target, name,
            std::string("spec.") + list + "[].name: Duplicate value: \"" + container_name + "\"");
      }
      DefaultRequests(container, allocator);
    }
  }
  SetDefault(*spec, "restartPolicy", Value("Always"), allocator);
  SetDefault(*spec, "schedulerName", Value("default-scheduler"), allocator);
  SetDefault(*spec, "terminationGracePeriodSeconds", Value(30), allocator);
  Value status(rapidjson::kObjectType);
  status.AddMember("phase", "Pending", allocator);
  Set(pod, "status", std::move(status), allocator);
  return {};
}

}  // namespace

std::string Timestamp(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

void SetMetadata(Document& object, const char* field, std::string_view value) {
  auto& allocator = object.GetAllocator();
  Set(ObjectAt(object, "metadata", allocator), field, json::String(value, allocator), allocator);
}

void RemoveMetadata(Document& object, const char* field) {
  if (Value* metadata = Member(object, "metadata"); metadata != nullptr && metadata->IsObject()) {
    metadata->EraseMember(field);
  }
}

Reply<void> PrepareCreate(const Target& target, Document& object, std::string_view suffix) {
  if (!object.IsObject()) return Refuse(400, "BadRequest", "the object must be a JSON object");
  auto& allocator = object.GetAllocator();
  const Resource& resource = *target.resource;
  for (const auto& [field, wanted] :
       {std::pair<const char*, std::string>{"kind", std::string(resource.kind)},
        {"apiVersion", resource.ApiVersion()}}) {
    const std::string given = TextAt(object, {field});
    if (!given.empty() && given != wanted) {
      return Refuse(
          400, "BadRequest",
          "the " + std::string(field) + " in the object (" + given + ") does not match " + wanted);
    }
    Set(object, field, json::String(wanted, allocator), allocator);
  }
  const std::string ns = TextAt(object, {"metadata", "namespace"});
  if (resource.namespaced) {
    if (!ns.empty() && ns != target.ns) {
      return Refuse(
          400, "BadRequest",
          "the namespace of the provided object does not match the namespace sent on the request");
    }
    SetMetadata(object, "namespace", target.ns);
  }
  if (TextAt(object, {"metadata", "name"}).empty()) {
    const std::string prefix = TextAt(object, {"metadata", "generateName"});
    if (prefix.empty()) {
      return Invalid(target, "", "metadata.name: Required value: name or generateName is required");
    }
    SetMetadata(object, "name", prefix + std::string(suffix));
  }
  const std::string name = TextAt(object, {"metadata", "name"});
  if (!ValidName(name))
    return Invalid(target, name, "metadata.name: must be a lowercase RFC 1123 subdomain");
  for (const char* field : {"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"}) {
    RemoveMetadata(object, field);
  }
  if (const auto good = CheckTextMaps(target, object, name); !good) return good;
  return resource.plural == "pods" ? PreparePod(target, object, name) : Reply<void>{};
}

Reply<void> PrepareUpdate(const Target& target, const Value& old, Document& object) {
  if (!object.IsObject()) return Refuse(400, "BadRequest", "the object must be a JSON object");
  auto& allocator = object.GetAllocator();
  const std::string name = TextAt(old, {"metadata", "name"});
  const std::string given_name = TextAt(object, {"metadata", "name"});
  if (!given_name.empty() && given_name != name) {
    return Refuse(400, "BadRequest", "the name of the object does not match the name on the URL");
  }
  const std::string version = TextAt(object, {"metadata", "resourceVersion"});
  const std::string uid = TextAt(object, {"metadata", "uid"});
  if ((!version.empty() && version != TextAt(old, {"metadata", "resourceVersion"})) ||
      (!uid.empty() && uid != TextAt(old, {"metadata", "uid"}))) {
    return Refuse(
        409, "Conflict",
        "Operation cannot be fulfilled on " + std::string(target.resource->plural) + " \"" + name +
            "\": the object has been modified; please apply your changes to the latest version");
  }
  for (const char* field : {"kind", "apiVersion"}) {
    Set(object, field, Value(*json::Find(old, field), allocator), allocator);
  }
  for (const char* field : {"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp",
                            "deletionGracePeriodSeconds", "generateName", "resourceVersion"}) {
    RemoveMetadata(object, field);
    const Value* kept = json::FindPath(old, {"metadata", field});
    if (kept != nullptr) {
      Set(ObjectAt(object, "metadata", allocator), field, Value(*kept, allocator), allocator);
    }
  }
  const auto keep = [&](const char* part) {
    object.EraseMember(part);
    if (const Value* kept = json::Find(old, part))
      Set(object, part, Value(*kept, allocator), allocator);
  };
  if (target.subresource == "status") {
    keep("spec");
  } else if (target.resource->status) {
    keep("status");
  }
  if (const auto good = CheckTextMaps(target, object, name); !good) return good;
  if (target.resource->plural == "pods") {
    const Value* before = json::Find(old, "spec");
    const Value* after = json::Find(object, "spec");
    if (after == nullptr || !(*before == *after)) {
      return Invalid(target, name, "spec: Forbidden: a pod's spec cannot be changed here");
    }
  }
  return {};
}

}  // namespace tessera::sim
