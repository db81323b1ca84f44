#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <rapidjson/document.h>

#include "common/base/result.h"
#include "sim/runner/mounts.h"

/// A pod's volumes, as folders below the node's pods directory, where a kubelet has them.
namespace tessera::sim {

/// Relative path -> text of a downwardAPI volume: fieldRef items, and the whole of
/// metadata.annotations or metadata.labels as key="value" lines. Pure. Errors name the item; a path
/// that leaves the volume is refused.
Result<std::map<std::string, std::string>> DownwardFiles(const rapidjson::Value& pod,
                                                         const rapidjson::Value& volume);

/// Where volumes live.
struct VolumeLayout {
  std::filesystem::path pods_dir;  ///< <pods_dir>/<uid>/volumes/kubernetes.io~empty-dir/<name>
  std::map<std::string, std::string> images;  ///< image reference -> folder with its files
};

/// Makes all volumes of a pod: emptyDir (kept if it is there already), downwardAPI, image (a folder
/// of the table), hostPath (used as it is). Errors name the volume; other kinds are refused.
Result<VolumePaths> MaterialiseVolumes(const rapidjson::Value& pod, const VolumeLayout& layout);

/// Writes the downwardAPI files anew where they changed, all files of a volume at one instant, as a
/// kubelet does: a reader sees the old files or the new ones.
Result<void> RefreshDownwardVolumes(const rapidjson::Value& pod, const VolumeLayout& layout);

/// <pods_dir>/<uid>. REQUIRES: the pod has a uid.
std::filesystem::path PodFolder(const rapidjson::Value& pod, const std::filesystem::path& pods_dir);

}  // namespace tessera::sim
