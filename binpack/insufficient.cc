#include "binpack/insufficient.h"

#include <algorithm>
#include <functional>
#include <map>

#include "binpack/selector.h"

namespace tessera::binpack {
namespace {

using Devices = std::vector<const DeviceInfo*>;
using Keep = std::function<bool(const DeviceInfo&)>;

Devices Filter(const Devices& devices, const Keep& keep) {
  Devices kept;
  for (const DeviceInfo* info : devices) {
    if (keep(*info)) kept.push_back(info);
  }
  return kept;
}

int Count(const Devices& devices) { return static_cast<int>(devices.size()); }

Insufficient Gpus(Shortage shortage, const GpuRequest& gpu, int available) {
  return {.shortage = shortage,
          .requested = gpu.count,
          .capacity = available,
          .gpus_requested = gpu.count,
          .gpus_available = available};
}

/// The shortage of one dimension, on the GPU where the least is missing.
Insufficient OnNearest(Shortage shortage, const Devices& devices, const GpuRequest& gpu,
                       int available, std::int64_t Amount::*dimension) {
  const auto missing = [&](const DeviceInfo* info) {
    return Resolve(gpu, info->capacity()).*dimension - info->free().*dimension;
  };
  Devices lacking = Filter(devices, [&](const DeviceInfo& info) { return missing(&info) > 0; });
  const auto nearest =
      std::min_element(lacking.begin(), lacking.end(),
                       [&](const auto* a, const auto* b) { return missing(a) < missing(b); });
  Insufficient out = Gpus(shortage, gpu, available);
  if (nearest == lacking.end()) return out;
  out.requested = Resolve(gpu, (*nearest)->capacity()).*dimension;
  out.used = (*nearest)->used.*dimension;
  out.capacity = (*nearest)->capacity().*dimension;
  return out;
}

int LargestNumaGroup(const Devices& devices) {
  std::map<int, int> groups;
  int largest = 0;
  for (const DeviceInfo* info : devices)
    largest = std::max(largest, ++groups[info->device.numa_node]);
  return largest;
}

std::vector<Insufficient> ExplainRoom(const Devices& devices, const GpuRequest& gpu,
                                      Topology topology) {
  const auto has = [&](std::int64_t Amount::*dimension) {
    return Filter(devices, [&, dimension](const DeviceInfo& info) {
      return Resolve(gpu, info.capacity()).*dimension <= info.free().*dimension;
    });
  };
  std::vector<Insufficient> found;
  const int with_memory = Count(has(&Amount::memory_mib));
  const int with_cores = Count(has(&Amount::cores_percent));
  if (with_memory < gpu.count) {
    found.push_back(OnNearest(Shortage::kMemory, devices, gpu, with_memory, &Amount::memory_mib));
  }
  if (with_cores < gpu.count) {
    found.push_back(OnNearest(Shortage::kCores, devices, gpu, with_cores, &Amount::cores_percent));
  }
  if (!found.empty()) return found;
  const Devices both = Filter(devices, [&](const DeviceInfo& info) {
    return Within(Resolve(gpu, info.capacity()), info.free());
  });
  if (Count(both) < gpu.count) return {Gpus(Shortage::kBothAtOnce, gpu, Count(both))};
  const int together = LargestNumaGroup(both);
  if (topology == Topology::kNuma && together < gpu.count)
    return {Gpus(Shortage::kNuma, gpu, together)};
  return {};
}

/// Empty if this container alone fits.
std::vector<Insufficient> ExplainContainer(const Devices& all, const GpuRequest& gpu,
                                           const PodRequest& request) {
  struct Step {
    Shortage shortage;
    Keep keep;
  };
  const bool exclusive = request.isolation == Isolation::kExclusive;
  const Step steps[] = {
      {Shortage::kGpus, [](const DeviceInfo&) { return true; }},
      {Shortage::kModel,
       [&](const DeviceInfo& i) { return AcceptsModel(request.selector, i.device.model); }},
      {Shortage::kUuid, [&](const DeviceInfo& i) { return Accepts(request.selector, i.device); }},
      {Shortage::kHealth, [](const DeviceInfo& i) { return i.device.healthy; }},
      {Shortage::kUnshared,
       [&](const DeviceInfo& i) {
         return i.exclusive_tenants == 0 && (!exclusive || i.tenants == 0);
       }},
  };
  Devices left = all;
  for (const Step& step : steps) {
    left = Filter(left, step.keep);
    if (Count(left) < gpu.count) return {Gpus(step.shortage, gpu, Count(left))};
  }
  return ExplainRoom(left, gpu, request.topology);
}

}  // namespace

std::string_view ReasonText(Shortage shortage) {
  switch (shortage) {
    case Shortage::kGpus:
      return "insufficient GPUs";
    case Shortage::kModel:
      return "insufficient GPUs of an accepted model";
    case Shortage::kUuid:
      return "insufficient GPUs of an accepted uuid";
    case Shortage::kHealth:
      return "insufficient healthy GPUs";
    case Shortage::kUnshared:
      return "insufficient unshared GPUs";
    case Shortage::kMemory:
      return "insufficient GPU memory";
    case Shortage::kCores:
      return "insufficient GPU cores";
    case Shortage::kBothAtOnce:
      return "insufficient GPUs with both memory and cores";
    case Shortage::kNuma:
      return "insufficient GPUs on one NUMA node";
    case Shortage::kTogether:
      return "insufficient GPUs for all containers together";
  }
  return "";
}

std::vector<Insufficient> Explain(const NodeInfo& node, const PodRequest& request) {
  Devices all;
  for (const DeviceInfo& info : node.devices) all.push_back(&info);
  for (const ContainerRequest& container : request.containers) {
    auto found = ExplainContainer(all, container.gpu, request);
    if (!found.empty()) return found;
  }
  int gpus = 0;
  for (const ContainerRequest& container : request.containers) gpus += container.gpu.count;
  return {Insufficient{.shortage = Shortage::kTogether,
                       .requested = gpus,
                       .capacity = Count(all),
                       .gpus_requested = gpus,
                       .gpus_available = Count(all)}};
}

}  // namespace tessera::binpack
