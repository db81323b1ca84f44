#include "webhook/pod_editor.h"

#include <filesystem>

#include "common/contract/quantity.h"

namespace tessera::webhook {
namespace {

std::string BasePath(ContainerRef ref) {
  return Pointer({"spec", ListName(ref.list), std::to_string(ref.index)});
}

std::string At(const std::string& array, std::size_t index) {
  return array + "/" + std::to_string(index);
}

}  // namespace

void PodEditor::Add(std::string path, std::string value) {
  patch_.push_back({"add", std::move(path), std::move(value)});
}

void PodEditor::Replace(std::string path, std::string value) {
  patch_.push_back({"replace", std::move(path), std::move(value)});
}

void PodEditor::Remove(std::string path) { patch_.push_back({"remove", std::move(path), ""}); }

Container& PodEditor::At(ContainerRef ref) {
  const auto index = static_cast<std::size_t>(ref.index);
  switch (ref.list) {
    case ContainerList::kInit:
      return pod_.init_containers->at(index);
    case ContainerList::kEphemeral:
      return pod_.ephemeral_containers.at(index);
    case ContainerList::kApp:
      break;
  }
  return pod_.containers.at(index);
}

void PodEditor::SetMetadata(std::string_view map, std::optional<StringMap>& entries,
                            std::string_view key, std::string_view value) {
  if (!entries) {
    Add(Pointer({"metadata", map}), "{}");
    entries.emplace();
  }
  const auto found = entries->find(key);
  if (found != entries->end() && found->second == value) return;
  Add(Pointer({"metadata", map, key}), Quote(value));
  (*entries)[std::string(key)] = value;
}

void PodEditor::SetAnnotation(std::string_view key, std::string_view value) {
  SetMetadata("annotations", pod_.annotations, key, value);
}

void PodEditor::SetLabel(std::string_view key, std::string_view value) {
  SetMetadata("labels", pod_.labels, key, value);
}

void PodEditor::SetSchedulerName(std::string_view name) {
  if (pod_.scheduler_name == name) return;
  Add("/spec/schedulerName", Quote(name));
  pod_.scheduler_name = name;
}

void PodEditor::SetRuntimeClass(std::string_view name) {
  if (pod_.runtime_class == name) return;
  Add("/spec/runtimeClassName", Quote(name));
  pod_.runtime_class = name;
}

void PodEditor::SetVolume(std::string_view name, std::string_view json) {
  if (!pod_.volumes) {
    Add("/spec/volumes", "[]");
    pod_.volumes.emplace();
  }
  auto& volumes = *pod_.volumes;
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    if (volumes[i].name != name) continue;
    if (SameJson(volumes[i].json, json)) return;
    Replace(webhook::At("/spec/volumes", i), std::string(json));
    volumes[i].json = json;
    return;
  }
  Add("/spec/volumes/-", std::string(json));
  volumes.push_back({std::string(name), std::string(json)});
}

void PodEditor::RemoveVolumes(const std::function<bool(std::string_view)>& unwanted) {
  if (!pod_.volumes) return;
  auto& volumes = *pod_.volumes;
  for (std::size_t i = volumes.size(); i-- > 0;) {
    if (!unwanted(volumes[i].name)) continue;
    Remove(webhook::At("/spec/volumes", i));
    volumes.erase(volumes.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void PodEditor::InsertFirstInitContainer(Container container, std::string_view json) {
  if (!pod_.init_containers) {
    Add("/spec/initContainers", "[]");
    pod_.init_containers.emplace();
  }
  Add("/spec/initContainers/0", std::string(json));
  pod_.init_containers->insert(pod_.init_containers->begin(), std::move(container));
}

void PodEditor::RemoveInitContainer(int index) {
  Remove(BasePath({.list = ContainerList::kInit, .index = index}));
  pod_.init_containers->erase(pod_.init_containers->begin() + index);
}

void PodEditor::SetEnv(ContainerRef ref, std::string_view name, std::string_view json) {
  Container& container = At(ref);
  const std::string path = BasePath(ref) + "/env";
  if (!container.env) {
    Add(path, "[]");
    container.env.emplace();
  }
  auto& env = *container.env;
  bool kept = false;
  for (std::size_t i = env.size(); i-- > 0;) {
    if (env[i].name != name) continue;
    if (kept) {
      Remove(webhook::At(path, i));
      env.erase(env.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    kept = true;
    if (SameJson(env[i].json, json)) continue;
    Replace(webhook::At(path, i), std::string(json));
    env[i].json = json;
  }
  if (kept) return;
  Add(path + "/-", std::string(json));
  env.push_back({std::string(name), std::nullopt, std::string(json)});
}

void PodEditor::SetMount(ContainerRef ref, std::string_view path, std::string_view volume,
                         std::string_view json) {
  Container& container = At(ref);
  const std::string array = BasePath(ref) + "/volumeMounts";
  if (!container.mounts) {
    Add(array, "[]");
    container.mounts.emplace();
  }
  auto& mounts = *container.mounts;
  bool kept = false;
  for (std::size_t i = mounts.size(); i-- > 0;) {
    if (CleanPath(mounts[i].path) != path) continue;
    if (kept) {
      Remove(webhook::At(array, i));
      mounts.erase(mounts.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    kept = true;
    if (SameJson(mounts[i].json, json)) continue;
    Replace(webhook::At(array, i), std::string(json));
    mounts[i] = {std::string(volume), std::string(path), std::string(json)};
  }
  if (kept) return;
  Add(array + "/-", std::string(json));
  mounts.push_back({std::string(volume), std::string(path), std::string(json)});
}

void PodEditor::SetResource(ContainerRef ref, Section section, std::string_view name,
                            std::int64_t value) {
  Container& container = At(ref);
  const std::string path = BasePath(ref) + "/resources";
  auto& quantities = section == Section::kLimits ? container.limits : container.requests;
  const std::string_view key = section == Section::kLimits ? "/limits" : "/requests";
  if (!container.has_resources) {
    Add(path, "{}");
    container.has_resources = true;
  }
  if (!quantities) {
    Add(path + std::string(key), "{}");
    quantities.emplace();
  }
  const auto found = quantities->find(name);
  if (found != quantities->end() && contract::ParseWhole(found->second) == value) return;
  const std::string text = std::to_string(value);
  Add(path + std::string(key) + Pointer({name}), Quote(text));
  (*quantities)[std::string(name)] = text;
}

void PodEditor::RemoveResource(ContainerRef ref, Section section, std::string_view name) {
  Container& container = At(ref);
  auto& quantities = section == Section::kLimits ? container.limits : container.requests;
  if (!quantities) return;
  const auto found = quantities->find(name);
  if (found == quantities->end()) return;
  const std::string_view key = section == Section::kLimits ? "limits" : "requests";
  Remove(BasePath(ref) + Pointer({"resources", key, name}));
  quantities->erase(found);
}

std::string CleanPath(std::string_view path) {
  std::string clean = std::filesystem::path(path).lexically_normal().string();
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  // POSIX keeps a leading "//" apart; a mount does not.
  if (clean.starts_with("//")) clean.erase(0, 1);
  return clean;
}

}  // namespace tessera::webhook
