#include "webhook/wire_pod.h"

#include "common/json/json.h"

namespace tessera::webhook {
namespace {

using rapidjson::Value;

/// Decodes each element of an optional array; errors carry "name[index]".
template <typename T, typename Decode>
Result<std::optional<std::vector<T>>> OptionalArray(const Value& object, std::string_view name,
                                                    Decode decode) {
  if (json::Find(object, name) == nullptr) return std::optional<std::vector<T>>();
  TESSERA_TRY(const Value* array, json::GetArray(object, name));
  std::optional<std::vector<T>> items(std::in_place);
  for (rapidjson::SizeType i = 0; i < array->Size(); ++i) {
    auto item = decode((*array)[i]);
    if (!item) {
      const std::string where = std::string(name) + "[" + std::to_string(i) + "]";
      return Fail(item.error().code, where + "." + item.error().message);
    }
    items->push_back(*std::move(item));
  }
  return items;
}

Result<std::optional<StringMap>> OptionalStrings(const Value& object, std::string_view name) {
  if (json::Find(object, name) == nullptr) return std::optional<StringMap>();
  TESSERA_TRY(const Value* members, json::GetObject(object, name));
  std::optional<StringMap> strings(std::in_place);
  for (const auto& member : members->GetObject()) {
    if (!member.value.IsString()) {
      return Fail(
          Errc::kInvalidArgument,
          std::string(name) + "." + std::string(json::View(member.name)) + " must be a string");
    }
    strings->emplace(json::View(member.name), json::View(member.value));
  }
  return strings;
}

Result<std::optional<Quantities>> OptionalQuantities(const Value& resources,
                                                     std::string_view name) {
  if (json::Find(resources, name) == nullptr) return std::optional<Quantities>();
  TESSERA_TRY(const Value* members, json::GetObject(resources, name));
  std::optional<Quantities> quantities(std::in_place);
  for (const auto& member : members->GetObject()) {
    if (!member.value.IsString() && !member.value.IsNumber()) {
      return Fail(
          Errc::kInvalidArgument,
          std::string(name) + "." + std::string(json::View(member.name)) + " must be a quantity");
    }
    quantities->emplace(json::View(member.name), member.value.IsString()
                                                     ? std::string(json::View(member.value))
                                                     : json::Dump(member.value));
  }
  return quantities;
}

Result<EnvVar> DecodeEnv(const Value& value) {
  EnvVar variable;
  TESSERA_TRY(variable.name, json::GetString(value, "name"));
  if (json::Find(value, "valueFrom") == nullptr) {
    TESSERA_TRY(variable.literal, json::GetStringOr(value, "value", ""));
  }
  variable.json = json::Dump(value);
  return variable;
}

Result<VolumeMount> DecodeMount(const Value& value) {
  VolumeMount mount;
  TESSERA_TRY(mount.volume, json::GetString(value, "name"));
  TESSERA_TRY(mount.path, json::GetString(value, "mountPath"));
  mount.json = json::Dump(value);
  return mount;
}

Result<Volume> DecodeVolume(const Value& value) {
  Volume volume;
  TESSERA_TRY(volume.name, json::GetString(value, "name"));
  volume.json = json::Dump(value);
  return volume;
}

Result<std::vector<std::string>> DecodeCommand(const Value& container) {
  std::vector<std::string> command;
  if (json::Find(container, "command") == nullptr) return command;
  TESSERA_TRY(const Value* words, json::GetArray(container, "command"));
  for (const Value& word : words->GetArray()) {
    if (!word.IsString()) {
      return Fail(Errc::kInvalidArgument, "command must be an array of strings");
    }
    command.emplace_back(json::View(word));
  }
  return command;
}

Result<Container> DecodeContainer(const Value& value) {
  Container container;
  TESSERA_TRY(container.name, json::GetString(value, "name"));
  TESSERA_TRY(container.image, json::GetStringOr(value, "image", ""));
  TESSERA_TRY(container.command, DecodeCommand(value));
  if (const Value* security = json::Find(value, "securityContext")) {
    TESSERA_TRY(container.privileged, json::GetBoolOr(*security, "privileged", false));
  }
  TESSERA_TRY(container.env, OptionalArray<EnvVar>(value, "env", DecodeEnv));
  TESSERA_TRY(container.mounts, OptionalArray<VolumeMount>(value, "volumeMounts", DecodeMount));
  if (json::Find(value, "resources") != nullptr) {
    TESSERA_TRY(const Value* resources, json::GetObject(value, "resources"));
    container.has_resources = true;
    TESSERA_TRY(container.limits, OptionalQuantities(*resources, "limits"));
    TESSERA_TRY(container.requests, OptionalQuantities(*resources, "requests"));
  }
  return container;
}

Result<void> DecodeSpec(const Value& spec, PodView& view) {
  TESSERA_TRY(view.node_name, json::GetStringOr(spec, "nodeName", ""));
  TESSERA_TRY(view.scheduler_name, json::GetStringOr(spec, "schedulerName", ""));
  TESSERA_TRY(view.runtime_class, json::GetStringOr(spec, "runtimeClassName", ""));
  TESSERA_TRY(view.volumes, OptionalArray<Volume>(spec, "volumes", DecodeVolume));
  TESSERA_TRY(view.init_containers,
              OptionalArray<Container>(spec, "initContainers", DecodeContainer));
  TESSERA_TRY(auto containers, OptionalArray<Container>(spec, "containers", DecodeContainer));
  if (!containers) return Fail(Errc::kInvalidArgument, "containers is missing");
  view.containers = *std::move(containers);
  TESSERA_TRY(auto ephemeral,
              OptionalArray<Container>(spec, "ephemeralContainers", DecodeContainer));
  if (ephemeral) view.ephemeral_containers = *std::move(ephemeral);
  return {};
}

}  // namespace

Result<PodView> DecodePodView(const Value& pod) {
  PodView view;
  TESSERA_TRY(const Value* metadata, json::GetObject(pod, "metadata"));
  auto annotations = OptionalStrings(*metadata, "annotations");
  if (!annotations)
    return Fail(annotations.error().code, "metadata." + annotations.error().message);
  auto labels = OptionalStrings(*metadata, "labels");
  if (!labels) return Fail(labels.error().code, "metadata." + labels.error().message);
  view.annotations = *std::move(annotations);
  view.labels = *std::move(labels);
  TESSERA_TRY(const Value* spec, json::GetObject(pod, "spec"));
  if (const auto ok = DecodeSpec(*spec, view); !ok) {
    return Fail(ok.error().code, "spec." + ok.error().message);
  }
  return view;
}

}  // namespace tessera::webhook
