#include "sim/runner/mounts.h"

#include <algorithm>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

std::string WithoutSlashAtEnd(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<Mount> OneMount(const rapidjson::Value& entry, const VolumePaths& volumes) {
  TESSERA_TRY(const auto name, json::GetString(entry, "name"));
  TESSERA_TRY(auto container_path, json::GetString(entry, "mountPath"));
  TESSERA_TRY(const auto sub_path, json::GetStringOr(entry, "subPath", ""));
  if (!container_path.starts_with('/')) {
    return Fail(Errc::kInvalidArgument, "mountPath \"" + container_path + "\" must be absolute");
  }
  if (("/" + sub_path + "/").find("/../") != std::string::npos) {
    return Fail(Errc::kInvalidArgument, "subPath \"" + sub_path + "\" must not leave its volume");
  }
  const auto volume = volumes.find(name);
  if (volume == volumes.end()) {
    return Fail(Errc::kInvalidArgument, "volume \"" + name + "\" is not in spec.volumes");
  }
  const std::string host = sub_path.empty() ? volume->second : volume->second + "/" + sub_path;
  return Mount{WithoutSlashAtEnd(std::move(container_path)), host};
}

}  // namespace

Result<std::vector<Mount>> ContainerMounts(const rapidjson::Value& container,
                                           const VolumePaths& volumes) {
  std::vector<Mount> mounts;
  if (json::Find(container, "volumeMounts") == nullptr) return mounts;
  TESSERA_TRY(const rapidjson::Value* entries, json::GetArray(container, "volumeMounts"));
  for (const auto& entry : entries->GetArray()) {
    auto mount = OneMount(entry, volumes);
    if (!mount) return Wrap(mount.error(), "volumeMounts");
    mounts.push_back(*std::move(mount));
  }
  std::stable_sort(mounts.begin(), mounts.end(), [](const Mount& a, const Mount& b) {
    return a.container_path.size() > b.container_path.size();
  });
  return mounts;
}

std::string RewritePath(std::string_view path, const std::vector<Mount>& mounts) {
  for (const Mount& mount : mounts) {
    if (!path.starts_with(mount.container_path)) continue;
    const std::string_view rest = path.substr(mount.container_path.size());
    if (rest.empty() || rest.front() == '/') return mount.host_path + std::string(rest);
  }
  return std::string(path);
}

std::string RewriteValue(std::string_view text, const std::vector<Mount>& mounts) {
  std::string out;
  while (true) {
    const std::size_t end = text.find_first_of(":,= ");
    out += RewritePath(text.substr(0, end), mounts);
    if (end == std::string_view::npos) return out;
    out += text[end];
    text.remove_prefix(end + 1);
  }
}

}  // namespace tessera::sim
