#include "sim/runner/container_plan.h"

#include <filesystem>
#include <system_error>

#include "common/contract/names.h"
#include "common/json/json.h"
#include "sim/object.h"
#include "sim/runner/environment.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

Result<std::vector<std::string>> Texts(const Value& container, const char* name) {
  std::vector<std::string> out;
  if (json::Find(container, name) == nullptr) return out;
  TESSERA_TRY(const Value* list, json::GetArray(container, name));
  for (const Value& text : list->GetArray()) {
    if (!text.IsString())
      return Fail(Errc::kInvalidArgument, std::string(name) + " must be strings");
    out.emplace_back(json::View(text));
  }
  return out;
}

/// command and args, or the image's entry point and args.
Result<std::vector<std::string>> CommandLine(const Value& container, const NodeSettings& node) {
  TESSERA_TRY(auto words, Texts(container, "command"));
  TESSERA_TRY(const auto args, Texts(container, "args"));
  if (words.empty()) {
    TESSERA_TRY(const auto image, json::GetString(container, "image"));
    const auto entrypoint = node.entrypoints.find(ImageName(image));
    if (entrypoint == node.entrypoints.end()) {
      return Fail(Errc::kNotFound, "image " + image + " is not in the simulation's table");
    }
    words.push_back(entrypoint->second);
  }
  words.insert(words.end(), args.begin(), args.end());
  return words;
}

/// A file of the container's image, if `word` names one and no volume is mounted over it.
std::string InImage(const std::string& word, const Value& container, const NodeSettings& node) {
  const auto image = node.volumes.images.find(TextAt(container, {"image"}));
  std::error_code ignored;
  if (image == node.volumes.images.end() || !word.starts_with('/')) return word;
  const std::string file = image->second + word;
  return std::filesystem::exists(file, ignored) ? file : word;
}

/// The NVIDIA runtime's part: which GPUs the container sees. Nothing said means none.
void ExposeGpus(const NodeSettings& node, Environment& env) {
  const auto asked = env.find(names::kEnvVisibleDevices);
  const std::string devices = asked == env.end() ? "" : asked->second;
  const bool none = devices.empty() || devices == "void" || devices == "none";
  env["TESSERA_SIM_GPUS"] = node.gpus_file;
  env["TESSERA_SIM_STATE"] = node.state_dir;
  env["TESSERA_SIM_VISIBLE"] = none ? "none" : devices;
  std::string& libraries = env["LD_LIBRARY_PATH"];
  libraries = node.driver_dir + (libraries.empty() ? "" : ":" + libraries);
}

/// In a container the library's folders are mounted where libtessera.so looks first. Here they are
/// not, so the variables that it looks at second say where they are.
void PointAtLibraryFolders(const std::vector<Mount>& mounts, Environment& env) {
  for (const Mount& mount : mounts) {
    if (mount.container_path == names::kLimitsDir) {
      env[names::kEnvLimitsFile] = mount.host_path + "/" + names::kLimitsFileName;
    }
    if (mount.container_path == names::kRegionDir) env[names::kEnvRegionDir] = mount.host_path;
  }
}

}  // namespace

std::string ImageName(const std::string& reference) {
  const std::string name = reference.substr(0, reference.find('@'));
  const std::size_t colon = name.rfind(':');
  const std::size_t slash = name.rfind('/');
  const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tagged ? name.substr(0, colon) : name;
}

Result<ProcessSpec> PlanContainer(const Value& pod, const Value& container,
                                  const VolumePaths& volumes, const NodeSettings& node) {
  TESSERA_TRY(const auto name, json::GetString(container, "name"));
  TESSERA_TRY(const auto mounts, ContainerMounts(container, volumes));
  TESSERA_TRY(auto env, ResolveEnvironment(pod, container));
  TESSERA_TRY(const auto words, CommandLine(container, node));
  ProcessSpec spec;
  for (const auto& word : words) {
    const std::string plain = ExpandVariables(word, env);
    const std::string rewritten = RewriteValue(plain, mounts);
    spec.argv.push_back(rewritten == plain ? InImage(plain, container, node) : rewritten);
  }
  for (auto& [key, value] : env) value = RewriteValue(value, mounts);
  env.try_emplace("PATH", node.bin_dir + ":/usr/local/bin:/usr/bin:/bin");
  PointAtLibraryFolders(mounts, env);
  ExposeGpus(node, env);
  for (const auto& [key, value] : env) spec.env.push_back(key + "=" + value);
  const auto folder = PodFolder(pod, node.volumes.pods_dir);
  spec.cwd = folder.string();
  spec.output_file = (folder / (name + ".log")).string();
  return spec;
}

}  // namespace tessera::sim
