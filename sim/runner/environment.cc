#include "sim/runner/environment.h"

#include <optional>

#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

/// The key of "metadata.annotations['key']", if `path` has that form for `map`.
std::optional<std::string_view> Subscript(std::string_view path, std::string_view map) {
  if (!path.starts_with(map)) return std::nullopt;
  path.remove_prefix(map.size());
  if (!path.starts_with("['") || !path.ends_with("']") || path.size() < 5) return std::nullopt;
  return path.substr(2, path.size() - 4);
}

/// optional: true in any of the sources that have it.
bool IsOptional(const Value& source) {
  for (const char* kind : {"configMapKeyRef", "secretKeyRef", "fileKeyRef"}) {
    const Value* optional = json::FindPath(source, {kind, "optional"});
    if (optional != nullptr && optional->IsTrue()) return true;
  }
  return false;
}

Result<std::optional<std::string>> ResolveSource(const Value& pod, const Value& source) {
  if (const Value* field = json::Find(source, "fieldRef")) {
    TESSERA_TRY(const auto path, json::GetString(*field, "fieldPath"));
    TESSERA_TRY(auto value, ResolveField(pod, path));
    return std::optional<std::string>(std::move(value));
  }
  if (IsOptional(source)) return std::optional<std::string>();
  return Fail(Errc::kInvalidArgument, "valueFrom: only fieldRef is simulated");
}

}  // namespace

Result<std::string> ResolveField(const Value& pod, std::string_view field_path) {
  if (const auto key = Subscript(field_path, "metadata.annotations")) {
    return TextAt(pod, {"metadata", "annotations", *key});
  }
  if (const auto key = Subscript(field_path, "metadata.labels")) {
    return TextAt(pod, {"metadata", "labels", *key});
  }
  if (field_path == "metadata.name") return TextAt(pod, {"metadata", "name"});
  if (field_path == "metadata.namespace") return TextAt(pod, {"metadata", "namespace"});
  if (field_path == "metadata.uid") return TextAt(pod, {"metadata", "uid"});
  if (field_path == "spec.nodeName") return TextAt(pod, {"spec", "nodeName"});
  if (field_path == "spec.serviceAccountName") return TextAt(pod, {"spec", "serviceAccountName"});
  if (field_path == "status.podIP" || field_path == "status.hostIP")
    return std::string("127.0.0.1");
  return Fail(Errc::kInvalidArgument,
              "fieldPath \"" + std::string(field_path) + "\" is not one that a kubelet resolves");
}

std::string ExpandVariables(std::string_view text, const Environment& known) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char next = text[i + 1];
    const std::size_t close = next == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (next == '$') {
      out += '$';
      ++i;
    } else if (close == std::string_view::npos) {
      out += '$';
    } else {
      const std::string_view name = text.substr(i + 2, close - i - 2);
      const auto found = known.find(std::string(name));
      out += found != known.end() ? found->second : std::string(text.substr(i, close - i + 1));
      i = close;
    }
  }
  return out;
}

Result<Environment> ResolveEnvironment(const Value& pod, const Value& container) {
  Environment resolved;
  if (json::Find(container, "envFrom") != nullptr) {
    return Fail(Errc::kInvalidArgument, "envFrom is not simulated");
  }
  if (json::Find(container, "env") == nullptr) return resolved;
  TESSERA_TRY(const Value* entries, json::GetArray(container, "env"));
  for (const Value& entry : entries->GetArray()) {
    TESSERA_TRY(const auto name, json::GetString(entry, "name"));
    if (const Value* source = json::Find(entry, "valueFrom")) {
      auto value = ResolveSource(pod, *source);
      if (!value) return Wrap(value.error(), "env " + name);
      if (*value) resolved[name] = **value;
    } else {
      auto value = json::GetStringOr(entry, "value", "");
      if (!value) return Wrap(value.error(), "env " + name);
      resolved[name] = ExpandVariables(*value, resolved);
    }
  }
  return resolved;
}

}  // namespace tessera::sim
