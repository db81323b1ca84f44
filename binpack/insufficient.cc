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

/// What a container asks for of each GPU.
struct Want {
  GpuRequest gpu;
  Isolation isolation;

  Amount Of(const DeviceInfo& info) const { return Resolve(gpu, info.capacity(), isolation); }
};

/// The shortage of one dimension, on the GPU where the least is missing.
Insufficient OnNearest(Shortage shortage, const Devices& devices, const Want& want, int available,
                       std::int64_t Amount::*dimension) {
  const auto missing = [&](const DeviceInfo* info) {
    return want.Of(*info).*dimension - info->free().*dimension;
  };
  Devices lacking = Filter(devices, [&](const DeviceInfo& info) { return missing(&info) > 0; });
  const auto nearest =
      std::min_element(lacking.begin(), lacking.end(),
                       [&](const auto* a, const auto* b) { return missing(a) < missing(b); });
  Insufficient out = Gpus(shortage, want.gpu, available);
  if (nearest == lacking.end()) return out;
  out.requested = want.Of(**nearest).*dimension;
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

std::vector<Insufficient> ExplainRoom(const Devices& devices, const Want& want, Topology topology) {
  struct Dimension {
    Shortage shortage;
    std::int64_t Amount::*amount;
  };
  constexpr Dimension kDimensions[] = {{Shortage::kMemory, &Amount::memory_mib},
                                       {Shortage::kCores, &Amount::cores_percent},
                                       {Shortage::kMpsClients, &Amount::mps_clients}};
  const int asked = want.gpu.count;
  std::vector<Insufficient> found;
  for (const auto& [shortage, amount] : kDimensions) {
    const int enough = Count(Filter(devices, [&, amount = amount](const DeviceInfo& info) {
      return want.Of(info).*amount <= info.free().*amount;
    }));
    if (enough < asked) found.push_back(OnNearest(shortage, devices, want, enough, amount));
  }
  if (!found.empty()) return found;
  const Devices all =
      Filter(devices, [&](const DeviceInfo& info) { return Within(want.Of(info), info.free()); });
  if (Count(all) < asked) return {Gpus(Shortage::kBothAtOnce, want.gpu, Count(all))};
  const int together = LargestNumaGroup(all);
  if (topology == Topology::kNuma && together < asked)
    return {Gpus(Shortage::kNuma, want.gpu, together)};
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
  const bool mps = request.isolation == Isolation::kMps;
  const Step steps[] = {
      {Shortage::kGpus, [](const DeviceInfo&) { return true; }},
      {Shortage::kModel,
       [&](const DeviceInfo& i) { return AcceptsModel(request.selector, i.device.model); }},
      {Shortage::kUuid, [&](const DeviceInfo& i) { return Accepts(request.selector, i.device); }},
      {Shortage::kHealth, [](const DeviceInfo& i) { return i.device.healthy; }},
      {Shortage::kMps, [&](const DeviceInfo& i) { return !mps || i.device.mps; }},
      {Shortage::kUnshared,
       [&](const DeviceInfo& i) {
         return i.exclusive_tenants == 0 && (!exclusive || i.tenants == 0);
       }},
      {Shortage::kMode, [&](const DeviceInfo& i) { return AdmitsMode(i, request.isolation); }},
  };
  Devices left = all;
  for (const Step& step : steps) {
    left = Filter(left, step.keep);
    if (Count(left) < gpu.count) return {Gpus(step.shortage, gpu, Count(left))};
  }
  return ExplainRoom(left, {gpu, request.isolation}, request.topology);
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
    case Shortage::kMps:
      return "insufficient GPUs with MPS";
    case Shortage::kUnshared:
      return "insufficient unshared GPUs";
    case Shortage::kMode:
      return "insufficient GPUs that are empty or in the mode of the pod's isolation";
    case Shortage::kMemory:
      return "insufficient GPU memory";
    case Shortage::kCores:
      return "insufficient GPU cores";
    case Shortage::kMpsClients:
      return "insufficient MPS clients";
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
