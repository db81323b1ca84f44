#include "common/contract/pod_request.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "common/contract/cpu.h"
#include "common/contract/dialects.h"
#include "common/contract/names.h"
#include "common/contract/pod_annotations.h"
#include "common/json/json.h"

namespace tessera::contract {
namespace {

using binpack::ComputePolicy;
using binpack::ContainerKind;
using binpack::ContainerRequest;
using binpack::PodRequest;
using rapidjson::Value;

/// A container of the pod, with or without a GPU.
struct ListedContainer {
  const Value* object;
  ContainerKind kind;
  int index;
  std::string name;
  std::string path;
};

Result<void> ListContainers(const Value& pod, std::string_view list,
                            std::vector<ListedContainer>& into) {
  const std::string path = "spec." + std::string(list);
  const Value* containers = json::FindPath(pod, {"spec", list});
  if (containers == nullptr) return {};
  if (!containers->IsArray()) return Fail(Errc::kInvalidArgument, path + " must be an array");
  for (rapidjson::SizeType i = 0; i < containers->Size(); ++i) {
    const Value& object = (*containers)[i];
    ListedContainer container{&object, ContainerKind::kApp, static_cast<int>(i), "",
                              path + "[" + std::to_string(i) + "]"};
    if (!object.IsObject())
      return Fail(Errc::kInvalidArgument, container.path + " must be an object");
    auto name = json::GetString(object, "name");
    if (!name) return Fail(Errc::kInvalidArgument, container.path + "." + name.error().message);
    container.name = *std::move(name);
    if (list == "initContainers") {
      const Value* restart = json::Find(object, "restartPolicy");
      const bool always =
          restart != nullptr && restart->IsString() && json::View(*restart) == "Always";
      container.kind = always ? ContainerKind::kSidecar : ContainerKind::kInit;
    }
    into.push_back(std::move(container));
  }
  return {};
}

Result<std::vector<ListedContainer>> AllContainers(const Value& pod) {
  if (!pod.IsObject()) return Fail(Errc::kInvalidArgument, "pod must be an object");
  std::vector<ListedContainer> containers;
  auto ok = ListContainers(pod, "initContainers", containers);
  if (ok) ok = ListContainers(pod, "containers", containers);
  if (!ok) return tl::make_unexpected(ok.error());
  return containers;
}

/// The container that the pod's annotations speak of; null if the pod has none.
Result<const ListedContainer*> Addressed(const std::vector<ListedContainer>& containers,
                                         const std::optional<std::string>& name) {
  const ListedContainer* found = nullptr;
  for (const ListedContainer& container : containers) {
    if (name ? container.name == *name : found == nullptr && container.kind == ContainerKind::kApp)
      found = &container;
  }
  if (name && found == nullptr) {
    return Fail(Errc::kInvalidArgument, "annotation " + std::string(names::kContainer) +
                                            ": the pod has no container \"" + *name + "\"");
  }
  return found;
}

bool Empty(const GpuStatement& statement) {
  return !statement.count && !statement.memory && !statement.cores;
}

Result<std::vector<ContainerRequest>> ReadContainers(const Value& pod,
                                                     const PodAnnotations& annotations) {
  TESSERA_TRY(const auto listed, AllContainers(pod));
  TESSERA_TRY(const auto* addressed, Addressed(listed, annotations.Get(names::kContainer)));
  TESSERA_TRY(const auto annotated, annotations.ReadGpu());
  if (addressed == nullptr && !Empty(annotated)) {
    return Fail(Errc::kInvalidArgument, "the pod asks for a GPU, but spec.containers is empty");
  }
  std::vector<ContainerRequest> requests;
  for (const ListedContainer& container : listed) {
    TESSERA_TRY(auto statement, ReadResources(*container.object, container.path));
    if (&container == addressed) {
      if (auto ok = Merge(statement, annotated); !ok) return tl::make_unexpected(ok.error());
    }
    TESSERA_TRY(const auto gpu, Complete(statement));
    if (gpu.count > 0) requests.push_back({container.name, container.kind, container.index, gpu});
  }
  return requests;
}

Result<void> CheckSize(const std::vector<ContainerRequest>& containers) {
  if (containers.size() > static_cast<std::size_t>(binpack::kMaxGpuContainersPerPod)) {
    return Fail(Errc::kInvalidArgument, "the pod has " + std::to_string(containers.size()) +
                                            " containers that ask for a GPU; at most " +
                                            std::to_string(binpack::kMaxGpuContainersPerPod) +
                                            " are allowed");
  }
  int gpus = 0;
  for (const ContainerRequest& container : containers) gpus += container.gpu.count;
  if (gpus <= binpack::kMaxGpusPerPod) return {};
  return Fail(Errc::kInvalidArgument, "the pod's containers ask for " + std::to_string(gpus) +
                                          " GPUs together; at most " +
                                          std::to_string(binpack::kMaxGpusPerPod) + " are allowed");
}

/// MPS holds a client to a part of one GPU's threads, and to no more when others are idle.
Result<void> CheckMps(const PodRequest& request) {
  if (request.isolation != binpack::Isolation::kMps) return {};
  const auto refuse = [](const std::string& why) {
    return Fail(Errc::kInvalidArgument,
                "annotation " + std::string(names::kIsolation) + ": mps " + why);
  };
  for (const ContainerRequest& container : request.containers) {
    const std::string who = "container \"" + container.name + "\"";
    if (container.gpu.count > 1) {
      return refuse("gives a container one GPU, because each GPU has an MPS daemon of its own; " +
                    who + " asks for " + std::to_string(container.gpu.count));
    }
    if (container.gpu.cores_percent == 0) {
      return refuse("needs gpu-cores, which is the percentage of threads that a client gets; " +
                    who + " asks for none");
    }
  }
  if (request.compute_policy == ComputePolicy::kFixedShare) return {};
  return refuse("holds fixed shares; remove annotation " + std::string(names::kComputePolicy));
}

/// A container without cores has nothing that fixed-share could hold it to.
Result<ComputePolicy> ChoosePolicy(const std::vector<ContainerRequest>& containers,
                                   std::optional<ComputePolicy> stated) {
  const auto without_cores = [](const ContainerRequest& container) {
    return container.gpu.cores_percent == 0;
  };
  const auto found = std::find_if(containers.begin(), containers.end(), without_cores);
  if (stated == ComputePolicy::kFixedShare && found != containers.end()) {
    return Fail(Errc::kInvalidArgument, "annotation " + std::string(names::kComputePolicy) +
                                            ": fixed-share needs gpu-cores, but container \"" +
                                            found->name +
                                            "\" asks for none; state gpu-cores or use best-effort");
  }
  if (stated) return *stated;
  const bool all =
      !containers.empty() && std::all_of(containers.begin(), containers.end(), without_cores);
  return all ? ComputePolicy::kBestEffort : ComputePolicy::kFixedShare;
}

}  // namespace

Result<PodRequest> DecodePodRequest(const Value& pod) {
  const PodAnnotations annotations(pod);
  if (auto ok = annotations.RefuseSlips(); !ok) return tl::make_unexpected(ok.error());
  PodRequest request;
  TESSERA_TRY(request.containers, ReadContainers(pod, annotations));
  if (request.containers.empty()) return PodRequest{};
  if (auto ok = CheckSize(request.containers); !ok) return tl::make_unexpected(ok.error());
  request.cpu_milli = PodCpuMilli(pod);
  TESSERA_TRY(request.selector, annotations.ReadSelector());
  TESSERA_TRY(const auto stated, annotations.ReadComputePolicy());
  TESSERA_TRY(request.compute_policy, ChoosePolicy(request.containers, stated));
  auto ok = annotations.ReadPolicies(request);
  if (ok) ok = CheckMps(request);
  if (ok) ok = annotations.ReadOversubscription(request);
  if (!ok) return tl::make_unexpected(ok.error());
  return request;
}

Result<std::optional<std::string>> AnnotatedContainer(const Value& pod) {
  const PodAnnotations annotations(pod);
  TESSERA_TRY(const auto annotated, annotations.ReadGpu());
  if (Empty(annotated)) return std::nullopt;
  TESSERA_TRY(const auto listed, AllContainers(pod));
  TESSERA_TRY(const auto* addressed, Addressed(listed, annotations.Get(names::kContainer)));
  if (addressed == nullptr) return std::nullopt;
  return addressed->name;
}

std::vector<std::pair<std::string, std::int64_t>> CanonicalResources(
    const binpack::GpuRequest& request) {
  if (request.count == 0) return {};
  const bool percent = request.memory_percent > 0;
  return {{std::string(names::kResourceGpu), request.count},
          {std::string(percent ? names::kResourceGpuMemoryPercent : names::kResourceGpuMemory),
           percent ? request.memory_percent : request.memory_mib},
          {std::string(names::kResourceGpuCores), request.cores_percent}};
}

}  // namespace tessera::contract
