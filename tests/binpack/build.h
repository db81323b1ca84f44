#pragma once

#include <random>
#include <string>
#include <vector>

#include "binpack/fit.h"
#include "binpack/node.h"
#include "binpack/reservation.h"

/// Short ways to write nodes and pods in tests, and seeded random ones.
namespace tessera::binpack {

inline GpuDevice Gpu(int index, std::int64_t memory_mib = 1000,
                     std::string model = "NVIDIA A100-SXM4-40GB") {
  return {.uuid = "GPU-" + std::to_string(index),
          .index = index,
          .model = std::move(model),
          .memory_mib = memory_mib};
}

/// `count` GPUs of 1000 MiB.
inline NodeInfo Node(int count) {
  std::vector<GpuDevice> gpus;
  for (int i = 0; i < count; ++i) gpus.push_back(Gpu(i));
  return MakeNode("n", gpus);
}

/// Something else's pod on one GPU.
inline void Use(NodeInfo& node, int index, Amount amount,
                Isolation isolation = Isolation::kShared) {
  Reserve(node, {{{"GPU-" + std::to_string(index), amount}}, isolation});
}

/// True if all tenants of the GPU are of one isolation, and an exclusive one is alone.
inline bool InOneMode(const DeviceInfo& info) {
  if (info.exclusive_tenants > 0) return info.tenants == 1 && info.mps_tenants == 0;
  return info.mps_tenants == 0 || info.mps_tenants == info.tenants;
}

inline ContainerRequest App(int index, GpuRequest gpu) {
  return {"c", ContainerKind::kApp, index, gpu};
}
inline ContainerRequest Init(int index, GpuRequest gpu) {
  return {"i", ContainerKind::kInit, index, gpu};
}
inline ContainerRequest Sidecar(int index, GpuRequest gpu) {
  return {"s", ContainerKind::kSidecar, index, gpu};
}

inline PodRequest Pod(std::vector<ContainerRequest> containers) {
  return {.containers = std::move(containers)};
}
inline PodRequest OneGpu(std::int64_t memory_mib, std::int64_t cores) {
  return Pod({App(0, {1, memory_mib, 0, cores})});
}

/// The uuids that the placement gives to container `at`, comma separated.
inline std::string Uuids(const FitResult& result, std::size_t at = 0) {
  if (!result.fits()) return "does not fit";
  std::string text;
  for (const DeviceShare& share : result.placement->containers[at].devices)
    text += share.uuid + ",";
  if (!text.empty()) text.pop_back();
  return text;
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int Below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }
  std::mt19937& engine() { return engine_; }

  GpuRequest Request(int max_count) {
    GpuRequest gpu{.count = 1 + Below(max_count), .cores_percent = 10 * Below(11)};
    if (OneIn(3)) {
      gpu.memory_percent = 10 * (1 + Below(10));
    } else {
      gpu.memory_mib = 100 * (1 + Below(10));
    }
    return gpu;
  }

  Isolation AnIsolation() {
    if (OneIn(8)) return Isolation::kExclusive;
    return OneIn(4) ? Isolation::kMps : Isolation::kShared;
  }

  PodRequest APod(int max_containers, int max_count) {
    PodRequest pod;
    int inits = 0;
    int apps = 0;
    for (int i = 1 + Below(max_containers); i > 0; --i) {
      const int kind = Below(4);
      if (kind == 0) pod.containers.push_back(Init(inits++, Request(max_count)));
      if (kind == 1) pod.containers.push_back(Sidecar(inits++, Request(max_count)));
      if (kind >= 2) pod.containers.push_back(App(apps++, Request(max_count)));
    }
    if (OneIn(4)) pod.gpu_policy = PlacementPolicy::kSpread;
    if (OneIn(6)) pod.topology = Topology::kNuma;
    pod.isolation = AnIsolation();
    if (OneIn(8)) pod.selector.models_any = {{"A100"}};
    if (OneIn(8)) pod.selector.uuids_none = {"GPU-0"};
    return pod;
  }

  /// Up to `max_gpus` GPUs, some unhealthy, some in use.
  NodeInfo ANode(int max_gpus) {
    std::vector<GpuDevice> gpus;
    for (int i = 1 + Below(max_gpus); i > 0; --i) {
      GpuDevice gpu = Gpu(static_cast<int>(gpus.size()), OneIn(3) ? 2000 : 1000,
                          OneIn(3) ? "Tesla T4" : "NVIDIA A100");
      gpu.numa_node = Below(2);
      gpu.healthy = !OneIn(10);
      gpu.mps = !OneIn(5);
      gpus.push_back(gpu);
    }
    NodeInfo node = MakeNode("n", gpus);
    for (const GpuDevice& gpu : gpus) {
      if (OneIn(2)) continue;
      const Isolation isolation = AnIsolation();
      const int clients = isolation != Isolation::kMps ? 0 : OneIn(2) ? 1 : 45 + Below(4);
      Use(node, gpu.index, {100 * Below(11), 10 * Below(11), clients}, isolation);
    }
    return node;
  }

 private:
  std::mt19937 engine_;
};

}  // namespace tessera::binpack
