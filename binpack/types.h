#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// The words of the domain. Plain values, no behaviour but equality; see binpack/README.md.
namespace tessera::binpack {

/// All of one GPU's compute, in percent.
inline constexpr std::int64_t kWholeGpuCores = 100;
/// No GPU of this or the next decade has more memory than this (MiB); guards every sum against
/// overflow.
inline constexpr std::int64_t kMaxMemoryMib = std::int64_t{1} << 32;
/// Clients of one MPS server (of CUDA before 13.1, which allows 60). Here each container with a
/// part of the GPU counts as one.
inline constexpr std::int64_t kMaxMpsClients = 48;
/// More host memory than any node has (MiB), and the most that a container's limits text can say.
inline constexpr std::int64_t kMaxHostMemoryMib = std::int64_t{1} << 30;
/// More GPUs than any node has; guards loops against hostile input.
inline constexpr int kMaxGpusPerNode = 256;

/// More containers with a GPU than any pod has; the search for a placement grows with their square.
inline constexpr int kMaxGpuContainersPerPod = 32;
/// GPUs of all containers of a pod together: its assignment must fit into Kubernetes' 256 KiB of
/// annotations.
inline constexpr int kMaxGpusPerPod = 1024;

/// More CPU than any node has, in thousandths of a core; guards every sum against overflow.
inline constexpr std::int64_t kMaxCpuMilli = 10'000'000;

/// A physical GPU: what exists.
struct GpuDevice {
  std::string uuid{};  ///< "GPU-…" as NVML tells it
  int index = 0;       ///< NVML index on its node
  std::string model{};
  std::int64_t memory_mib = 0;
  std::int64_t cores_percent = kWholeGpuCores;
  int numa_node = -1;  ///< -1: unknown
  bool healthy = true;
  std::string health_reason{};  ///< why not healthy, for people
  bool mps = false;             ///< takes pods of Isolation::kMps now

  bool operator==(const GpuDevice&) const = default;
};

/// What one container asks for. `count` 0 means no GPU at all. Exactly one of memory_mib and
/// memory_percent is positive when count is.
struct GpuRequest {
  int count = 0;                ///< physical GPUs
  std::int64_t memory_mib = 0;  ///< of each GPU
  int memory_percent = 0;       ///< of each GPU, 1 to 100; rounded down to whole MiB at placement
  std::int64_t cores_percent = 0;  ///< of each GPU, 0 to 100; 0 reserves no compute

  bool operator==(const GpuRequest&) const = default;
};

/// Kubernetes' three kinds of container; a sidecar is an init container with restartPolicy Always.
enum class ContainerKind { kInit, kSidecar, kApp };

/// A container that asks for a GPU.
struct ContainerRequest {
  std::string name{};
  ContainerKind kind = ContainerKind::kApp;
  int index = 0;  ///< in spec.containers (kApp) or in spec.initContainers (kInit, kSidecar)
  GpuRequest gpu{};

  bool operator==(const ContainerRequest&) const = default;
};

/// One entry of a list of GPU models.
struct ModelPattern {
  std::string text{};
  /// True: `text` is a run of whole words of the model name ("A10" is not "A100"). False: any
  /// substring (HAMi's rule). Letter case never matters.
  bool whole_words = true;

  bool operator==(const ModelPattern&) const = default;
};

/// Which GPUs a pod accepts. An empty `any` list accepts all; a match in a `none` list refuses.
struct DeviceSelector {
  std::vector<ModelPattern> models_any{};
  std::vector<ModelPattern> models_none{};
  std::vector<std::string> uuids_any{};
  std::vector<std::string> uuids_none{};

  bool operator==(const DeviceSelector&) const = default;
};

enum class PlacementPolicy { kPack, kSpread };
enum class Topology { kNone, kNuma };
enum class ComputePolicy { kFixedShare, kBurstShare, kBestEffort };
/// How pods are on one GPU together: in turns, not at all, or at once as clients of its MPS daemon.
/// A GPU is in one mode at a time.
enum class Isolation { kShared, kExclusive, kMps };

/// What a pod asks for. `containers` holds only those that ask for a GPU: init containers and
/// sidecars first, in the order of spec.initContainers, then spec.containers. Empty: not a GPU pod.
struct PodRequest {
  std::vector<ContainerRequest> containers{};
  /// Of the whole pod, also of containers without a GPU; 0: none, or none that can be read. For
  /// scores only: whether it fits is kube-scheduler's to say. At most kMaxCpuMilli.
  std::int64_t cpu_milli = 0;
  DeviceSelector selector{};
  PlacementPolicy node_policy = PlacementPolicy::kPack;
  PlacementPolicy gpu_policy = PlacementPolicy::kPack;
  Topology topology = Topology::kNone;
  ComputePolicy compute_policy = ComputePolicy::kFixedShare;
  Isolation isolation = Isolation::kShared;
  /// What its containers allocate beyond their shares goes to host memory. Changes no placement.
  bool oversubscribe = false;
  /// At most so much, of each container for each of its GPUs; 0: as much as its share.
  std::int64_t host_memory_mib = 0;

  bool operator==(const PodRequest&) const = default;
};

/// A slice of one GPU.
struct DeviceShare {
  std::string uuid{};
  std::int64_t memory_mib = 0;
  std::int64_t cores_percent = 0;
  std::int64_t host_memory_mib = 0;  ///< for what goes beyond memory_mib; 0: nothing does

  bool operator==(const DeviceShare&) const = default;
};

/// The GPUs of one container, in the order in which it will see them.
struct ContainerPlacement {
  ContainerKind kind = ContainerKind::kApp;
  int index = 0;  ///< as in ContainerRequest
  std::vector<DeviceShare> devices{};

  bool operator==(const ContainerPlacement&) const = default;
};

/// The decision for a pod on one node; containers in the order of PodRequest::containers.
struct Placement {
  std::vector<ContainerPlacement> containers{};

  bool operator==(const Placement&) const = default;
};

/// "c0" for spec.containers[0], "i1" for spec.initContainers[1]: the <slot> of
/// common/contract/names.h.
inline std::string SlotName(ContainerKind kind, int index) {
  return (kind == ContainerKind::kApp ? "c" : "i") + std::to_string(index);
}

}  // namespace tessera::binpack
