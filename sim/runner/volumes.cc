#include "sim/runner/volumes.h"

#include <fstream>
#include <sstream>
#include <system_error>

#include "common/json/json.h"
#include "sim/runner/environment.h"

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;
using rapidjson::Value;

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

/// All annotations or labels, one key="value" line each, sorted.
std::string WholeMap(const Value& pod, std::string_view name) {
  std::map<std::string, std::string> sorted;
  const Value* map = json::FindPath(pod, {"metadata", name});
  if (map != nullptr && map->IsObject()) {
    for (const auto& member : map->GetObject()) {
      if (member.value.IsString()) {
        sorted[std::string(json::View(member.name))] = json::View(member.value);
      }
    }
  }
  std::string out;
  for (const auto& [key, value] : sorted) out += key + "=" + Quoted(value) + "\n";
  if (!out.empty()) out.pop_back();
  return out;
}

Result<std::string> ItemText(const Value& pod, const Value& item) {
  TESSERA_TRY(const Value* field, json::GetObject(item, "fieldRef"));
  TESSERA_TRY(const auto path, json::GetString(*field, "fieldPath"));
  if (path == "metadata.annotations") return WholeMap(pod, "annotations");
  if (path == "metadata.labels") return WholeMap(pod, "labels");
  return ResolveField(pod, path);
}

bool StaysInside(const std::string& relative) {
  const fs::path path(relative);
  if (relative.empty() || path.is_absolute() || relative.starts_with("..")) return false;
  for (const auto& part : path) {
    if (part == "..") return false;
  }
  return true;
}

std::string ReadAll(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Error Broken(const fs::path& where, const std::error_code& code) {
  return {Errc::kInternal, where.string() + ": " + code.message()};
}

bool UpToDate(const fs::path& folder, const std::map<std::string, std::string>& files) {
  std::error_code ignored;
  for (const auto& [name, text] : files) {
    if (!fs::exists(folder / name, ignored) || ReadAll(folder / name) != text) return false;
  }
  return fs::exists(folder / "..data", ignored);
}

/// A fresh folder holds the new files, and one rename of the ..data link makes them visible
/// together.
Result<void> WriteAtomically(const fs::path& folder,
                             const std::map<std::string, std::string>& files) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return tl::make_unexpected(Broken(folder, code));
  const fs::path old = fs::read_symlink(folder / "..data", code);
  int version = 1;
  while (fs::exists(folder / (".." + std::to_string(version)), code)) ++version;
  const std::string fresh = ".." + std::to_string(version);
  for (const auto& [name, text] : files) {
    const fs::path file = folder / fresh / name;
    fs::create_directories(file.parent_path(), code);
    std::ofstream(file, std::ios::binary) << text;
    const std::string top = fs::path(name).begin()->string();
    if (!fs::is_symlink(folder / top, code)) {
      fs::create_symlink(fs::path("..data") / top, folder / top, code);
    }
  }
  fs::create_directories(folder / fresh, code);
  fs::remove(folder / "..data_tmp", code);
  fs::create_directory_symlink(fresh, folder / "..data_tmp", code);
  if (code) return tl::make_unexpected(Broken(folder / "..data_tmp", code));
  fs::rename(folder / "..data_tmp", folder / "..data", code);
  if (code) return tl::make_unexpected(Broken(folder / "..data", code));
  if (!old.empty()) fs::remove_all(folder / old, code);
  return {};
}

fs::path KindFolder(const Value& pod, const fs::path& pods_dir, const std::string& kind,
                    const std::string& name) {
  return PodFolder(pod, pods_dir) / "volumes" / ("kubernetes.io~" + kind) / name;
}

Result<std::string> EmptyDir(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return tl::make_unexpected(Broken(folder, code));
  fs::permissions(folder, fs::perms::all,
                  code);  // a kubelet makes them 0777: any user may run in the pod
  return folder.string();
}

Result<std::string> DownwardVolume(const Value& pod, const Value& volume, const fs::path& folder) {
  TESSERA_TRY(const auto files, DownwardFiles(pod, volume));
  if (!UpToDate(folder, files)) {
    if (auto written = WriteAtomically(folder, files); !written) {
      return tl::make_unexpected(written.error());
    }
  }
  return folder.string();
}

Result<std::string> Materialise(const Value& pod, const Value& volume, const std::string& name,
                                const VolumeLayout& layout) {
  if (json::Find(volume, "emptyDir") != nullptr) {
    return EmptyDir(KindFolder(pod, layout.pods_dir, "empty-dir", name));
  }
  if (const Value* downward = json::Find(volume, "downwardAPI")) {
    return DownwardVolume(pod, *downward, KindFolder(pod, layout.pods_dir, "downward-api", name));
  }
  if (const Value* image = json::Find(volume, "image")) {
    TESSERA_TRY(const auto reference, json::GetString(*image, "reference"));
    const auto found = layout.images.find(reference);
    if (found != layout.images.end()) return found->second;
    return Fail(Errc::kNotFound, "image " + reference + " is not in the simulation's table");
  }
  if (const Value* host = json::Find(volume, "hostPath")) return json::GetString(*host, "path");
  return Fail(Errc::kInvalidArgument,
              "only emptyDir, downwardAPI, image and hostPath volumes are simulated");
}

template <typename Visit>
Result<void> ForEachVolume(const Value& pod, Visit visit) {
  const Value* volumes = json::FindPath(pod, {"spec", "volumes"});
  if (volumes == nullptr || !volumes->IsArray()) return {};
  for (const Value& volume : volumes->GetArray()) {
    TESSERA_TRY(const auto name, json::GetString(volume, "name"));
    if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.')) {
      return Fail(Errc::kInvalidArgument, "volume name \"" + name + "\" is not a name");
    }
    if (Result<void> done = visit(volume, name); !done) {
      return Wrap(done.error(), "volume " + name);
    }
  }
  return {};
}

}  // namespace

fs::path PodFolder(const Value& pod, const fs::path& pods_dir) {
  const Value* uid = json::FindPath(pod, {"metadata", "uid"});
  return pods_dir / (uid != nullptr && uid->IsString() ? json::View(*uid) : "no-uid");
}

Result<std::map<std::string, std::string>> DownwardFiles(const Value& pod, const Value& volume) {
  std::map<std::string, std::string> files;
  if (json::Find(volume, "items") == nullptr) return files;
  TESSERA_TRY(const Value* items, json::GetArray(volume, "items"));
  for (const Value& item : items->GetArray()) {
    TESSERA_TRY(const auto path, json::GetString(item, "path"));
    if (!StaysInside(path)) {
      return Fail(Errc::kInvalidArgument, "path \"" + path + "\" leaves the volume");
    }
    auto text = ItemText(pod, item);
    if (!text) return Wrap(text.error(), "item " + path);
    files[path] = *std::move(text);
  }
  return files;
}

Result<VolumePaths> MaterialiseVolumes(const Value& pod, const VolumeLayout& layout) {
  VolumePaths paths;
  auto done = ForEachVolume(pod, [&](const Value& volume, const std::string& name) -> Result<void> {
    TESSERA_TRY(paths[name], Materialise(pod, volume, name, layout));
    return {};
  });
  if (!done) return tl::make_unexpected(done.error());
  return paths;
}

Result<void> RefreshDownwardVolumes(const Value& pod, const VolumeLayout& layout) {
  return ForEachVolume(pod, [&](const Value& volume, const std::string& name) -> Result<void> {
    const Value* downward = json::Find(volume, "downwardAPI");
    if (downward == nullptr) return {};
    auto done =
        DownwardVolume(pod, *downward, KindFolder(pod, layout.pods_dir, "downward-api", name));
    if (!done) return tl::make_unexpected(done.error());
    return {};
  });
}

}  // namespace tessera::sim
