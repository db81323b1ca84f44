#include "webhook/validate.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/contract/names.h"
#include "webhook/delivery.h"
#include "webhook/pod_editor.h"

namespace tessera::webhook {
namespace {

constexpr std::string_view kMirrorAnnotation = "kubernetes.io/config.mirror";

/// Schedulers whose pods we take over: the default one and those of the dialects that we read.
constexpr std::array<std::string_view, 4> kAdoptedSchedulers = {"", "default-scheduler",
                                                                "hami-scheduler", "volcano"};

constexpr std::array<std::string_view, 3> kOurDirectories = {names::kLibraryDir, names::kRegionDir,
                                                             names::kLimitsDir};

/// Mounts below it name GPUs to NVIDIA's container toolkit, and win over the environment.
constexpr std::string_view kDeviceListDirectory = "/var/run/nvidia-container-devices";

tl::unexpected<Error> Refuse(std::string message) {
  return Fail(Errc::kInvalidArgument, std::move(message));
}

/// True for "c0-devices" and "i12-limits".
bool IsSlotKey(std::string_view name) {
  for (const std::string_view suffix : {names::kDevicesSuffix, names::kLimitsSuffix,
                                        names::kMpsThreadsSuffix, names::kMpsMemorySuffix}) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view slot = name.substr(0, name.size() - suffix.size());
    if (slot.size() < 2 || (slot[0] != 'c' && slot[0] != 'i')) continue;
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (std::all_of(slot.begin() + 1, slot.end(), is_digit)) return true;
  }
  return false;
}

bool IsOurVolume(std::string_view name) {
  return name == names::kVolumeLibrary || name == names::kVolumeMps ||
         name.starts_with(names::kVolumeRegionPrefix) ||
         name.starts_with(names::kVolumeLimitsPrefix);
}

bool IsBelow(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) && path.size() > directory.size() &&
         path[directory.size()] == '/';
}

std::string Where(ContainerRef ref) {
  return "spec." + std::string(ListName(ref.list)) + "[" + std::to_string(ref.index) + "]";
}

Result<void> CheckDeviceList(const Container& container, const std::string& where) {
  if (!container.mounts) return {};
  for (const VolumeMount& mount : *container.mounts) {
    const std::string path = CleanPath(mount.path);
    if (path != kDeviceListDirectory && !IsBelow(path, kDeviceListDirectory)) continue;
    return Refuse(where + ".volumeMounts: mountPath " + mount.path +
                  " chooses GPUs by itself; tessera's scheduler chooses them");
  }
  return {};
}

/// With isolation mps: only the folder of the node may stand where a client looks for its daemon.
Result<void> CheckMpsMounts(const Container& container, const std::string& where) {
  if (!container.mounts) return {};
  for (const VolumeMount& mount : *container.mounts) {
    const std::string path = CleanPath(mount.path);
    for (const std::string_view shared : {names::kMpsPipeDir, names::kSharedMemoryDir}) {
      const bool at_it = path == shared && mount.volume != names::kVolumeMps;
      if (!at_it && !IsBelow(path, shared)) continue;
      return Refuse(where + ".volumeMounts: mountPath " + mount.path +
                    " is shared with the MPS daemon, as isolation is mps; remove the mount of "
                    "volume \"" +
                    mount.volume + "\"");
    }
  }
  return {};
}

/// True where the webhook puts the volume.
bool IsPlaceOf(std::string_view volume, std::string_view path) {
  if (volume == names::kVolumeMps)
    return path == names::kMpsPipeDir || path == names::kSharedMemoryDir;
  return std::find(kOurDirectories.begin(), kOurDirectories.end(), path) != kOurDirectories.end();
}

Result<void> CheckMounts(const Container& container, const std::string& where) {
  if (!container.mounts) return {};
  for (const VolumeMount& mount : *container.mounts) {
    const std::string path = CleanPath(mount.path);
    if (IsOurVolume(mount.volume) && !IsPlaceOf(mount.volume, path)) {
      return Refuse(where + ".volumeMounts: volume \"" + mount.volume + "\" belongs to tessera");
    }
    for (const std::string_view ours : kOurDirectories) {
      if (IsBelow(path, ours) || (path == ours && !IsOurVolume(mount.volume))) {
        return Refuse(where + ".volumeMounts: mountPath " + mount.path +
                      " is reserved for tessera; mount volume \"" + mount.volume + "\" elsewhere");
      }
    }
  }
  return {};
}

Result<void> CheckPreload(const Container& container, const std::string& where) {
  if (!container.env) return {};
  for (const EnvVar& variable : *container.env) {
    if (variable.name == names::kEnvPreload && !variable.literal) {
      return Refuse(where + ".env: LD_PRELOAD must be a plain value in a container with a GPU, " +
                    "because tessera's library is put before it");
    }
  }
  return {};
}

Result<void> CheckContainers(const PodView& pod, const binpack::PodRequest& request) {
  for (const binpack::ContainerRequest& asked : request.containers) {
    const bool app = asked.kind == binpack::ContainerKind::kApp;
    const auto index = static_cast<std::size_t>(asked.index);
    const std::string where =
        Where({.list = app ? ContainerList::kApp : ContainerList::kInit, .index = asked.index});
    const auto& list = app ? pod.containers : *pod.init_containers;
    const Container& container = list.at(index);
    if (container.privileged) {
      return Refuse(where + ": container \"" + container.name +
                    "\" is privileged and asks for a GPU: a privileged container sees every GPU "
                    "of its node, so no limit would hold");
    }
    if (const auto ok = CheckDeviceList(container, where); !ok) return ok;
    if (const auto ok = CheckMounts(container, where); !ok) return ok;
    if (request.isolation == binpack::Isolation::kMps) {
      if (const auto ok = CheckMpsMounts(container, where); !ok) return ok;
    }
    if (const auto ok = CheckPreload(container, where); !ok) return ok;
  }
  return {};
}

Result<void> CheckNeighbours(const PodView& pod, const binpack::PodRequest& request,
                             const Options& options) {
  const auto check = [&](const std::vector<Container>& list, ContainerList name) -> Result<void> {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const ContainerRef ref{.list = name, .index = static_cast<int>(i)};
      const bool has_gpu =
          std::any_of(request.containers.begin(), request.containers.end(), [&](const auto& asked) {
            const bool app = asked.kind == binpack::ContainerKind::kApp;
            return app == (name == ContainerList::kApp) && asked.index == ref.index;
          });
      if (has_gpu || (name == ContainerList::kInit && IsInstaller(list[i], options))) continue;
      if (const auto ok = CheckNeighbour(list[i], ref); !ok) return ok;
    }
    return {};
  };
  if (const auto ok = check(pod.containers, ContainerList::kApp); !ok) return ok;
  return pod.init_containers ? check(*pod.init_containers, ContainerList::kInit) : Result<void>{};
}

/// The name of the installer belongs to us, wherever it stands.
Result<void> CheckReservedName(const PodView& pod, const Options& options) {
  const auto refuse = [](std::string_view where) {
    return Refuse(std::string(where) + ": the container name " +
                  std::string(names::kInstallContainer) + " is reserved for tessera");
  };
  for (const Container& container : pod.containers) {
    if (container.name == names::kInstallContainer) return refuse("spec.containers");
  }
  if (!pod.init_containers) return {};
  for (const Container& container : *pod.init_containers) {
    if (container.name == names::kInstallContainer && !IsInstaller(container, options)) {
      return refuse("spec.initContainers");
    }
  }
  return {};
}

Result<void> CheckScheduler(const PodView& pod, const Options& options) {
  const std::string& name = pod.scheduler_name;
  const bool adopted = std::find(kAdoptedSchedulers.begin(), kAdoptedSchedulers.end(), name) !=
                       kAdoptedSchedulers.end();
  if (adopted || name == options.scheduler_name || name == names::kSchedulerName) return {};
  return Refuse("spec.schedulerName: \"" + name + "\" does not assign shares of GPUs, so the pod " +
                "would run unlimited; leave it out or use " + options.scheduler_name);
}

Result<void> CheckOversubscription(const binpack::PodRequest& request, const Options& options) {
  if (!request.oversubscribe || options.allow_memory_oversubscription) return {};
  return Refuse("annotation " + std::string(names::kGpuMemoryOversubscribe) +
                ": this cluster does not allow it; ask whoever runs tessera here to start its "
                "webhook with --allow-memory-oversubscription, or leave the annotation out");
}

}  // namespace

bool IsMirrorPod(const PodView& pod) {
  return pod.annotations && pod.annotations->contains(kMirrorAnnotation);
}

Result<void> CheckSystemAnnotations(const PodView& pod) {
  if (!pod.annotations) return {};
  for (const auto& [key, value] : *pod.annotations) {
    if (!key.starts_with(names::kPrefix)) continue;
    const std::string_view name = std::string_view(key).substr(names::kPrefix.size());
    if (key == names::kAssignment || key == names::kInventory || IsSlotKey(name)) {
      return Refuse("annotation " + key + " is written by tessera's scheduler; remove it");
    }
  }
  return {};
}

Result<void> CheckNeighbour(const Container& container, ContainerRef ref) {
  const std::string where = Where(ref);
  if (const auto ok = CheckDeviceList(container, where); !ok) return ok;
  if (!container.mounts) return {};
  for (const VolumeMount& mount : *container.mounts) {
    if (!IsOurVolume(mount.volume)) continue;
    return Refuse(where + ".volumeMounts: volume \"" + mount.volume +
                  "\" belongs to tessera and to the containers with a GPU");
  }
  return {};
}

Result<void> Validate(const PodView& pod, const binpack::PodRequest& request,
                      const Options& options) {
  if (!pod.node_name.empty()) {
    return Refuse("spec.nodeName: a pod that asks for a GPU must not name its node \"" +
                  pod.node_name +
                  "\", because that passes by the scheduler which assigns the GPU; "
                  "use spec.nodeSelector");
  }
  if (request.isolation == binpack::Isolation::kMps && !options.allow_mps) {
    return Refuse("annotation " + std::string(names::kIsolation) +
                  ": mps is not allowed in this cluster, because it mounts a folder of the node "
                  "(hostPath) into the pod; an administrator can allow it (webhook --allow-mps)");
  }
  if (const auto ok = CheckScheduler(pod, options); !ok) return ok;
  if (const auto ok = CheckOversubscription(request, options); !ok) return ok;
  if (const auto ok = CheckReservedName(pod, options); !ok) return ok;
  if (const auto ok = CheckContainers(pod, request); !ok) return ok;
  return CheckNeighbours(pod, request, options);
}

}  // namespace tessera::webhook
