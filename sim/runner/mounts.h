#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <rapidjson/document.h>

#include "common/base/result.h"

/// Containers of the simulation share our file system, so a path inside a container becomes the
/// path of the volume that a kubelet would have mounted there. Pure.
namespace tessera::sim {

struct Mount {
  std::string container_path;  ///< without a slash at its end
  std::string host_path;
};

/// Volume name -> folder on this machine.
using VolumePaths = std::map<std::string, std::string>;

/// The container's volumeMounts, longest path first. Errors: a mount of a volume that the pod does
/// not have.
Result<std::vector<Mount>> ContainerMounts(const rapidjson::Value& container,
                                           const VolumePaths& volumes);

/// `path` below a mount point as it is called on this machine; every other text unchanged.
std::string RewritePath(std::string_view path, const std::vector<Mount>& mounts);

/// RewritePath on every piece of a text, pieces being separated by ':', ',', '=' or a space: so it
/// reaches LD_PRELOAD lists, PATH-like variables and --flag=/path.
std::string RewriteValue(std::string_view text, const std::vector<Mount>& mounts);

}  // namespace tessera::sim
