#include "sim/demo/evidence.h"

#include <algorithm>

#include "common/contract/names.h"
#include "common/contract/pod_request.h"
#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using binpack::ContainerKind;
using rapidjson::Value;

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;

std::uint64_t LimitBytes(const binpack::DeviceShare& share) {
  return static_cast<std::uint64_t>(share.memory_mib) * kMib;
}

std::string ContainerName(const Value& pod, ContainerKind kind, int index) {
  const Value* list =
      json::FindPath(pod, {"spec", kind == ContainerKind::kApp ? "containers" : "initContainers"});
  const auto at = static_cast<rapidjson::SizeType>(index);
  if (index < 0 || list == nullptr || !list->IsArray() || at >= list->Size()) return "";
  return TextAt((*list)[at], {"name"});
}

std::string GpuProblem(const binpack::DeviceShare& share, const ProbedGpu& gpu) {
  const std::uint64_t limit = LimitBytes(share);
  const std::string which = gpu.uuid + ": ";
  if (gpu.total_bytes != limit) {
    return which + "tells " + BytesText(gpu.total_bytes) + ", the limit is " + BytesText(limit);
  }
  if (gpu.refused_with != "CUDA_ERROR_OUT_OF_MEMORY") {
    return which + "refused with " + gpu.refused_with;
  }
  if (gpu.held_bytes > limit)
    return which + "got " + BytesText(gpu.held_bytes) + ", above the limit";
  if (!gpu.exact || gpu.free_after_bytes >= kMib) {
    return which + "refused with " + BytesText(gpu.free_after_bytes) + " left";
  }
  if (!gpu.reallocated) return which + "freed memory could not be allocated again";
  return "";
}

struct Use {
  std::int64_t memory_mib = 0;
  std::int64_t cores_percent = 0;
  void Add(const binpack::DeviceShare& share) {
    memory_mib += share.memory_mib;
    cores_percent += share.cores_percent;
  }
  void RaiseTo(const Use& other) {
    memory_mib = std::max(memory_mib, other.memory_mib);
    cores_percent = std::max(cores_percent, other.cores_percent);
  }
};

/// What one pod takes of each GPU.
struct PodUse {
  std::map<std::string, Use> sidecars, apps, peak;
};

std::map<std::string, Use> UseOfPod(const std::vector<const ContainerEvidence*>& containers) {
  PodUse use;
  for (const ContainerEvidence* container : containers) {
    for (const auto& share : container->shares) {
      if (container->kind == ContainerKind::kInit) {
        Use now = use.sidecars[share.uuid];
        now.Add(share);
        use.peak[share.uuid].RaiseTo(now);
        continue;
      }
      if (container->kind == ContainerKind::kSidecar) use.sidecars[share.uuid].Add(share);
      use.apps[share.uuid].Add(share);
    }
  }
  for (const auto& [uuid, together] : use.apps) use.peak[uuid].RaiseTo(together);
  return use.peak;
}

const binpack::GpuDevice* FindGpu(const std::map<std::string, contract::Inventory>& inventories,
                                  const std::string& node, const std::string& uuid) {
  const auto inventory = inventories.find(node);
  if (inventory == inventories.end()) return nullptr;
  const auto& gpus = inventory->second.gpus;
  const auto gpu =
      std::find_if(gpus.begin(), gpus.end(), [&](const auto& g) { return g.uuid == uuid; });
  return gpu == gpus.end() ? nullptr : &*gpu;
}

const ProbedGpu* FindProbed(const ContainerEvidence& container, const std::string& uuid) {
  if (!container.report) return nullptr;
  for (const ProbedGpu& gpu : container.report->gpus) {
    if (gpu.uuid == uuid) return &gpu;
  }
  return nullptr;
}

/// How much of the probe's wall time its kernels had the GPU.
std::string GpuTimeText(const ProbedGpu& gpu) {
  if (gpu.spin_wall_us == 0) return "-";
  return std::to_string(gpu.kernels * gpu.kernel_us * 100 / gpu.spin_wall_us) + " %";
}

}  // namespace

std::string AskedText(const binpack::GpuRequest& request) {
  std::string text = request.count > 1 ? std::to_string(request.count) + " x " : "";
  text += request.memory_percent > 0 ? std::to_string(request.memory_percent) + " % memory"
                                     : std::to_string(request.memory_mib) + " MiB";
  if (request.cores_percent > 0) text += ", " + std::to_string(request.cores_percent) + " %";
  return text;
}

Result<std::vector<ContainerEvidence>> PodEvidence(const Value& bound, const Value& asked) {
  const std::string key = KeyOf(bound);
  auto assignment =
      contract::DecodeAssignment(TextAt(bound, {"metadata", "annotations", names::kAssignment}));
  if (!assignment)
    return Wrap(assignment.error(), "pod " + key + ": " + std::string(names::kAssignment));
  auto request = contract::DecodePodRequest(asked);
  if (!request) return Wrap(request.error(), "pod " + key);
  std::vector<ContainerEvidence> out;
  for (const auto& placed : assignment->placement.containers) {
    ContainerEvidence container;
    container.pod = key;
    container.container = ContainerName(bound, placed.kind, placed.index);
    container.node = TextAt(bound, {"spec", "nodeName"});
    container.kind = placed.kind;
    container.shares = placed.devices;
    for (const auto& wanted : request->containers) {
      if (wanted.name == container.container) container.asked = AskedText(wanted.gpu);
    }
    if (container.node != assignment->node) {
      return Fail(Errc::kInvalidArgument, "pod " + key + ": bound to " + container.node +
                                              ", but its assignment is for " + assignment->node);
    }
    out.push_back(std::move(container));
  }
  return out;
}

std::string LimitProblem(const ContainerEvidence& container) {
  if (!container.report) return "its probe said nothing";
  if (!container.report->problems.empty()) return container.report->problems.front();
  if (!container.report->ok) return "its probe is not content";
  if (container.report->gpus.size() != container.shares.size()) {
    return "sees " + std::to_string(container.report->gpus.size()) + " GPUs instead of " +
           std::to_string(container.shares.size());
  }
  for (const auto& share : container.shares) {
    const ProbedGpu* gpu = FindProbed(container, share.uuid);
    if (gpu == nullptr) return "does not see " + share.uuid;
    if (auto problem = GpuProblem(share, *gpu); !problem.empty()) return problem;
  }
  return "";
}

std::string CapacityProblem(const std::vector<ContainerEvidence>& containers,
                            const std::map<std::string, contract::Inventory>& inventory_of_node) {
  std::map<std::string, std::vector<const ContainerEvidence*>> pods;
  for (const auto& container : containers) pods[container.pod].push_back(&container);
  std::map<std::pair<std::string, std::string>, Use> total;  // by node and uuid
  for (const auto& [pod, of_pod] : pods) {
    for (const auto& [uuid, use] : UseOfPod(of_pod)) {
      Use& sum = total[{of_pod.front()->node, uuid}];
      sum.memory_mib += use.memory_mib;
      sum.cores_percent += use.cores_percent;
    }
  }
  for (const auto& [where, use] : total) {
    const auto* gpu = FindGpu(inventory_of_node, where.first, where.second);
    if (gpu == nullptr) return where.second + " is not a GPU of " + where.first;
    if (use.memory_mib > gpu->memory_mib || use.cores_percent > gpu->cores_percent) {
      return where.second + " has " + std::to_string(gpu->memory_mib) + " MiB and " +
             std::to_string(gpu->cores_percent) + " %, given away are " +
             std::to_string(use.memory_mib) + " MiB and " + std::to_string(use.cores_percent) +
             " %";
    }
  }
  return "";
}

std::string MetricsProblem(const ContainerEvidence& container, const std::vector<Sample>& page) {
  const std::size_t slash = container.pod.find('/');
  for (const auto& share : container.shares) {
    const std::map<std::string, std::string> labels = {
        {"namespace", container.pod.substr(0, slash)},
        {"pod", container.pod.substr(slash + 1)},
        {"container", container.container},
        {"gpu_uuid", share.uuid}};
    const ProbedGpu* gpu = FindProbed(container, share.uuid);
    if (gpu == nullptr) return "nothing to compare with";
    const std::pair<const char*, std::uint64_t> wanted[] = {
        {"tessera_container_gpu_memory_limit_bytes", LimitBytes(share)},
        {"tessera_container_gpu_memory_used_bytes", gpu->total_bytes - gpu->free_after_bytes}};
    for (const auto& [name, want] : wanted) {
      const auto got = FindSample(page, name, labels);
      if (!got) return std::string(name) + " is missing for " + share.uuid;
      if (*got != static_cast<double>(want)) {
        return std::string(name) + " is " + BytesText(static_cast<std::uint64_t>(*got)) +
               ", the container says " + BytesText(want);
      }
    }
  }
  return "";
}

std::vector<std::vector<std::string>> EvidenceTable(
    const std::vector<ContainerEvidence>& containers,
    const std::map<std::string, contract::Inventory>& inventory_of_node) {
  std::vector<std::vector<std::string>> rows = {{"pod/container", "node", "GPU", "asked", "limit",
                                                 "memory told", "got", "refused at limit",
                                                 "GPU time"}};
  for (const auto& container : containers) {
    const std::size_t slash = container.pod.find('/');
    for (const auto& share : container.shares) {
      const auto* gpu = FindGpu(inventory_of_node, container.node, share.uuid);
      const ProbedGpu* probed = FindProbed(container, share.uuid);
      const bool exact = probed != nullptr && GpuProblem(share, *probed).empty();
      rows.push_back(
          {container.pod.substr(slash + 1) + "/" + container.container, container.node,
           gpu == nullptr ? share.uuid : "#" + std::to_string(gpu->index) + " " + gpu->model,
           container.asked, std::to_string(share.memory_mib) + " MiB",
           probed == nullptr ? "-" : BytesText(probed->total_bytes),
           probed == nullptr ? "-" : BytesText(probed->held_bytes), exact ? "yes" : "NO",
           probed == nullptr ? "-" : GpuTimeText(*probed)});
    }
  }
  return rows;
}

}  // namespace tessera::sim
