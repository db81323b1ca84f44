#include "webhook/mutators.h"

#include <algorithm>
#include <array>

#include "common/contract/names.h"
#include "common/contract/pod_request.h"
#include "webhook/delivery.h"
#include "webhook/json_parts.h"

namespace tessera::webhook {
namespace {

using binpack::ContainerKind;
using binpack::ContainerRequest;
using binpack::PodRequest;

/// Room for several region files: processes that start together may each prepare one. Only what is
/// written counts against the container's memory limit.
constexpr std::string_view kRegionSizeLimit = "4Mi";

constexpr std::array kOurResources = {names::kResourceGpu, names::kResourceGpuMemory,
                                      names::kResourceGpuMemoryPercent, names::kResourceGpuCores};

ContainerRef RefOf(const ContainerRequest& container) {
  const bool app = container.kind == ContainerKind::kApp;
  return {.list = app ? ContainerList::kApp : ContainerList::kInit, .index = container.index};
}

std::string SlotOf(const ContainerRequest& container) {
  return binpack::SlotName(container.kind, container.index);
}

/// Follows an insertion (+1) or a removal (-1) at `from` in spec.initContainers.
void ShiftInitIndexes(PodRequest& request, int from, int by) {
  for (ContainerRequest& container : request.containers) {
    if (container.kind != ContainerKind::kApp && container.index >= from) container.index += by;
  }
}

int FirstGpuInitIndex(const PodRequest& request, int none) {
  int first = none;
  for (const ContainerRequest& container : request.containers) {
    if (container.kind != ContainerKind::kApp) first = std::min(first, container.index);
  }
  return first;
}

int FindInstaller(const PodView& pod, const Options& options) {
  if (!pod.init_containers) return -1;
  const auto& list = *pod.init_containers;
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const auto& c) { return IsInstaller(c, options); });
  return found == list.end() ? -1 : static_cast<int>(found - list.begin());
}

std::vector<std::string> ResourceNames(const std::optional<Quantities>& quantities) {
  std::vector<std::string> found;
  if (!quantities) return found;
  for (const auto& [name, value] : *quantities) found.push_back(name);
  return found;
}

bool IsOurResource(std::string_view name) {
  return std::find(kOurResources.begin(), kOurResources.end(), name) != kOurResources.end();
}

bool StatesOurs(const std::optional<Quantities>& quantities) {
  return quantities && std::any_of(quantities->begin(), quantities->end(),
                                   [](const auto& entry) { return IsOurResource(entry.first); });
}

void NormaliseContainer(PodEditor& editor, const ContainerRequest& container) {
  using Section = PodEditor::Section;
  const ContainerRef ref = RefOf(container);
  const auto wanted = contract::CanonicalResources(container.gpu);
  const auto is_wanted = [&](std::string_view name) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const auto& entry) { return entry.first == name; });
  };
  for (const Section section : {Section::kLimits, Section::kRequests}) {
    const bool limits = section == Section::kLimits;
    const auto& quantities = limits ? editor.At(ref).limits : editor.At(ref).requests;
    const bool state_ours = limits || StatesOurs(quantities);
    for (const std::string& name : ResourceNames(quantities)) {
      const bool stale = IsOurResource(name) && !is_wanted(name);
      if (stale || contract::IsForeignGpuResource(name)) editor.RemoveResource(ref, section, name);
    }
    if (!state_ours) continue;
    for (const auto& [name, value] : wanted) editor.SetResource(ref, section, name, value);
  }
}

void SetMounts(PodEditor& editor, ContainerRef ref, const std::string& slot) {
  const std::string library(names::kVolumeLibrary);
  const std::string region = std::string(names::kVolumeRegionPrefix) + slot;
  const std::string limits = std::string(names::kVolumeLimitsPrefix) + slot;
  editor.SetMount(ref, names::kLibraryDir, library, Mount(library, names::kLibraryDir, true));
  editor.SetMount(ref, names::kRegionDir, region, Mount(region, names::kRegionDir, false));
  editor.SetMount(ref, names::kLimitsDir, limits, Mount(limits, names::kLimitsDir, true));
}

/// The value that a kubelet would use: the last one of that name.
std::string CurrentLiteral(const Container& container, std::string_view name) {
  std::string current;
  if (!container.env) return current;
  for (const EnvVar& variable : *container.env) {
    if (variable.name == name) current = variable.literal.value_or("");
  }
  return current;
}

void SetEnvironment(PodEditor& editor, ContainerRef ref, const std::string& slot) {
  const auto literal = [&](const char* name, std::string_view value) {
    editor.SetEnv(ref, name, EnvLiteral(name, value));
  };
  const auto annotation = [&](const char* name, std::string_view suffix) {
    editor.SetEnv(ref, name, EnvFromAnnotation(name, names::SlotKey(slot, suffix)));
  };
  const std::string preload = PreloadValue(CurrentLiteral(editor.At(ref), names::kEnvPreload));
  annotation(names::kEnvVisibleDevices, names::kDevicesSuffix);
  annotation(names::kEnvLimits, names::kLimitsSuffix);
  literal(names::kEnvLimitsFile, names::kLimitsPath);
  literal(names::kEnvRegionDir, names::kRegionDir);
  literal(names::kEnvPreload, preload);
}

/// What makes the container a client of its GPU's MPS daemon. The kubelet finds the daemon's folder
/// by the uuid that the Binding brings, and only while the daemon is ready (agent/README.md).
void ConnectToMps(PodEditor& editor, ContainerRef ref, const std::string& slot) {
  const std::string volume(names::kVolumeMps);
  const std::string pipe = std::string(names::kMpsReadyDir) + "/$(" + names::kEnvVisibleDevices +
                           ")/" + names::kMpsPipeName;
  editor.SetMount(ref, names::kMpsPipeDir, volume, MountPart(volume, names::kMpsPipeDir, pipe));
  editor.SetMount(ref, names::kSharedMemoryDir, volume,
                  MountPart(volume, names::kSharedMemoryDir, names::kMpsShmName));
  editor.SetEnv(ref, names::kEnvMpsPipe, EnvLiteral(names::kEnvMpsPipe, names::kMpsPipeDir));
  const auto annotation = [&](const char* name, std::string_view suffix) {
    editor.SetEnv(ref, name, EnvFromAnnotation(name, names::SlotKey(slot, suffix)));
  };
  annotation(names::kEnvMpsThreads, names::kMpsThreadsSuffix);
  annotation(names::kEnvMpsMemory, names::kMpsMemorySuffix);
}

}  // namespace

void PlaceInstaller(PodEditor& editor, PodRequest& request, const Options& options) {
  if (options.delivery != Delivery::kInit) return;
  const int present = FindInstaller(editor.pod(), options);
  if (present >= 0 && present < FirstGpuInitIndex(request, present + 1)) return;
  if (present >= 0) {
    editor.RemoveInitContainer(present);
    ShiftInitIndexes(request, present, -1);
  }
  auto installer = MakeInstaller(options);
  editor.InsertFirstInitContainer(std::move(installer.container), installer.json);
  ShiftInitIndexes(request, 0, +1);
}

void PinContainer(PodEditor& editor, const std::optional<std::string>& annotated_container) {
  if (annotated_container) editor.SetAnnotation(names::kContainer, *annotated_container);
}

void NormaliseResources(PodEditor& editor, const PodRequest& request) {
  for (const ContainerRequest& container : request.containers) {
    NormaliseContainer(editor, container);
  }
}

void SetScheduling(PodEditor& editor, const Options& options) {
  editor.SetSchedulerName(options.scheduler_name);
  if (!options.runtime_class.empty()) editor.SetRuntimeClass(options.runtime_class);
  editor.SetLabel(names::kManagedLabel, "true");
}

void PlaceVolumes(PodEditor& editor, const PodRequest& request, const Options& options) {
  std::vector<std::string> wanted;
  for (const ContainerRequest& container : request.containers) {
    wanted.push_back(std::string(names::kVolumeRegionPrefix) + SlotOf(container));
    wanted.push_back(std::string(names::kVolumeLimitsPrefix) + SlotOf(container));
  }
  editor.RemoveVolumes([&](std::string_view name) {
    const bool ours = name.starts_with(names::kVolumeRegionPrefix) ||
                      name.starts_with(names::kVolumeLimitsPrefix);
    return ours && std::find(wanted.begin(), wanted.end(), name) == wanted.end();
  });
  editor.SetVolume(names::kVolumeLibrary, LibraryVolume(options));
  if (request.isolation == binpack::Isolation::kMps) {
    editor.SetVolume(names::kVolumeMps, HostPathVolume(names::kVolumeMps, options.mps_root));
  }
  for (const ContainerRequest& container : request.containers) {
    const std::string slot = SlotOf(container);
    const std::string region = std::string(names::kVolumeRegionPrefix) + slot;
    const std::string limits = std::string(names::kVolumeLimitsPrefix) + slot;
    editor.SetVolume(region, MemoryVolume(region, kRegionSizeLimit));
    editor.SetVolume(limits, AnnotationFileVolume(limits, names::kLimitsFileName,
                                                  names::SlotKey(slot, names::kLimitsSuffix)));
  }
}

void EquipContainers(PodEditor& editor, const PodRequest& request) {
  for (const ContainerRequest& container : request.containers) {
    SetMounts(editor, RefOf(container), SlotOf(container));
    SetEnvironment(editor, RefOf(container), SlotOf(container));
    if (request.isolation == binpack::Isolation::kMps)
      ConnectToMps(editor, RefOf(container), SlotOf(container));
  }
}

void HideGpus(PodEditor& editor, ContainerRef ref) {
  editor.SetEnv(ref, names::kEnvVisibleDevices, EnvLiteral(names::kEnvVisibleDevices, "void"));
}

void HideGpus(PodEditor& editor, const PodRequest& request) {
  const auto hide = [&](ContainerRef ref) {
    const bool has_gpu =
        std::any_of(request.containers.begin(), request.containers.end(),
                    [&](const auto& container) { return RefOf(container) == ref; });
    if (!has_gpu) HideGpus(editor, ref);
  };
  const auto& inits = editor.pod().init_containers;
  const int init_count = inits ? static_cast<int>(inits->size()) : 0;
  const int app_count = static_cast<int>(editor.pod().containers.size());
  for (int i = 0; i < init_count; ++i) hide({.list = ContainerList::kInit, .index = i});
  for (int i = 0; i < app_count; ++i) hide({.list = ContainerList::kApp, .index = i});
}

std::string PreloadValue(std::string_view current) {
  std::string value = names::kLibraryPath;
  while (!current.empty()) {
    const std::size_t end = current.find_first_of(": ");
    const std::string_view entry = current.substr(0, end);
    if (!entry.empty() && entry != names::kLibraryPath) value.append(":").append(entry);
    if (end == std::string_view::npos) break;
    current.remove_prefix(end + 1);
  }
  return value;
}

}  // namespace tessera::webhook
