#include "cli/simulate_cluster.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "binpack/selector.h"
#include "common/contract/inventory.h"
#include "common/contract/names.h"
#include "common/contract/pod_request.h"
#include "common/contract/quantity.h"
#include "common/json/json.h"

namespace tessera::cli {
namespace {

using rapidjson::Value;
using Path = std::initializer_list<std::string_view>;

/// What requests for MiB are measured against.
struct GpuSize {
  std::int16_t model = 0;
  std::int64_t memory_mib = 0;
};
using Sizes = std::map<std::string, GpuSize, std::less<>>;  ///< by node

std::string TextAt(const Value& object, Path path) {
  const Value* found = json::FindPath(object, path);
  return found != nullptr && found->IsString() ? std::string(json::View(*found)) : std::string();
}

std::int32_t Clamp(std::int64_t value) {
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(value, 0, std::numeric_limits<std::int32_t>::max()));
}

/// Nothing for what is not a quantity; none is zero.
std::optional<std::int32_t> CpuMilli(const std::string& text) {
  if (text.empty()) return 0;
  const auto milli = text.ends_with('m') ? contract::ParseWhole(text.substr(0, text.size() - 1))
                                         : contract::ParseWhole(text + "k");
  if (!milli) return std::nullopt;
  return Clamp(*milli);
}

std::optional<std::int32_t> MemoryMib(const std::string& text) {
  if (text.empty()) return 0;
  const auto mib = contract::ParseBytesAsMib(text);
  if (!mib) return std::nullopt;
  return Clamp(*mib);
}

std::int16_t ModelNumber(std::vector<std::string>& models, const std::string& model) {
  const auto number = std::find(models.begin(), models.end(), model) - models.begin();
  if (number == std::ssize(models)) models.push_back(model);
  return static_cast<std::int16_t>(number);
}

/// False: the node cannot be read.
bool AddNode(const Value& node, binpack::simulate::Trace& trace, Sizes& sizes) {
  const std::string text = TextAt(node, {"metadata", "annotations", names::kInventory});
  if (text.empty()) return true;
  const auto inventory = contract::DecodeInventory(text);
  const auto cpu = CpuMilli(TextAt(node, {"status", "allocatable", "cpu"}));
  const auto memory = MemoryMib(TextAt(node, {"status", "allocatable", "memory"}));
  if (!inventory || !cpu || !memory) return false;
  const auto healthy = std::count_if(inventory->gpus.begin(), inventory->gpus.end(),
                                     [](const auto& gpu) { return gpu.healthy; });
  if (healthy == 0) return true;
  if (healthy > binpack::kMaxRoomGpus || trace.models.size() >= binpack::kMaxModels) return false;
  const auto& first = inventory->gpus.front();
  binpack::NodeRoom room{.cpu_milli = *cpu,
                         .memory_mib = *memory,
                         .cpu_capacity_milli = *cpu,
                         .memory_capacity_mib = *memory,
                         .model = ModelNumber(trace.models, first.model),
                         .gpus = static_cast<std::int16_t>(healthy)};
  std::fill_n(room.rest.begin(), healthy, binpack::kWholeGpu);
  trace.nodes.push_back(room);
  sizes[TextAt(node, {"metadata", "name"})] = {room.model, first.memory_mib};
  return true;
}

/// False: a quantity that cannot be read.
bool AddHostRequests(const Value& pod, binpack::PodShape& shape) {
  const Value* containers = json::FindPath(pod, {"spec", "containers"});
  if (containers == nullptr || !containers->IsArray()) return false;
  std::int64_t cpu = 0;
  std::int64_t memory = 0;
  for (const Value& container : containers->GetArray()) {
    const auto one_cpu = CpuMilli(TextAt(container, {"resources", "requests", "cpu"}));
    const auto one_memory = MemoryMib(TextAt(container, {"resources", "requests", "memory"}));
    if (!one_cpu || !one_memory) return false;
    cpu += *one_cpu;
    memory += *one_memory;
  }
  shape.cpu_milli = Clamp(cpu);
  shape.memory_mib = Clamp(memory);
  return true;
}

std::int16_t Thousandths(std::int64_t part, std::int64_t whole) {
  if (whole <= 0) return binpack::kWholeShare;
  return static_cast<std::int16_t>(
      std::clamp<std::int64_t>((part * 1000 + whole - 1) / whole, 0, 1000));
}

/// False: more GPUs than a node has.
bool AddGpus(const binpack::PodRequest& request, const GpuSize& size,
             const std::vector<std::string>& models, binpack::PodShape& shape) {
  int gpus = 0;
  for (const auto& container : request.containers) {
    if (container.kind == binpack::ContainerKind::kInit) continue;
    gpus += container.gpu.count;
    const std::int16_t memory = container.gpu.memory_mib > 0
                                    ? Thousandths(container.gpu.memory_mib, size.memory_mib)
                                    : Thousandths(container.gpu.memory_percent, 100);
    shape.share.memory = std::max(shape.share.memory, memory);
    shape.share.cores = std::max(shape.share.cores,
                                 Thousandths(container.gpu.cores_percent, binpack::kWholeGpuCores));
  }
  if (gpus > binpack::kMaxRoomGpus) return false;
  shape.gpus = static_cast<std::int16_t>(gpus);
  if (request.isolation == binpack::Isolation::kExclusive && gpus > 0)
    shape.share = binpack::kWholeGpu;
  shape.models = 0;
  for (std::size_t model = 0; model < models.size(); ++model) {
    if (binpack::AcceptsModel(request.selector, models[model])) {
      shape.models |= binpack::ModelSet{1} << model;
    }
  }
  return true;
}

std::optional<binpack::PodShape> ShapeOf(const Value& pod, const Sizes& sizes,
                                         const std::vector<std::string>& models) {
  const auto request = contract::DecodePodRequest(pod);
  binpack::PodShape shape;
  if (!request || !AddHostRequests(pod, shape)) return std::nullopt;
  if (request->containers.empty()) return shape;
  const auto own = sizes.find(TextAt(pod, {"spec", "nodeName"}));
  const auto smallest = std::min_element(
      sizes.begin(), sizes.end(),
      [](const auto& a, const auto& b) { return a.second.memory_mib < b.second.memory_mib; });
  const GpuSize& size = own != sizes.end() ? own->second : smallest->second;
  if (!AddGpus(*request, size, models, shape)) return std::nullopt;
  return shape;
}

bool Runs(const Value& pod, const Sizes& sizes) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  return phase != "Succeeded" && phase != "Failed" &&
         sizes.count(TextAt(pod, {"spec", "nodeName"})) > 0;
}

}  // namespace

Result<ClusterTrace> TraceOfCluster(const Value& nodes, const Value& pods) {
  ClusterTrace cluster;
  Sizes sizes;
  for (const Value& node : nodes.GetArray()) {
    if (!AddNode(node, cluster.trace, sizes)) ++cluster.skipped;
  }
  if (cluster.trace.nodes.empty()) {
    return Fail(Errc::kNotFound,
                "no node has a GPU inventory (" + std::string(names::kInventory) + ")");
  }
  bool gpus = false;
  for (const Value& pod : pods.GetArray()) {
    if (!Runs(pod, sizes)) continue;
    const auto shape = ShapeOf(pod, sizes, cluster.trace.models);
    if (!shape) {
      ++cluster.skipped;
      continue;
    }
    gpus = gpus || binpack::GpusOf(*shape) > 0;
    cluster.trace.pods.push_back(*shape);
  }
  if (!gpus) return Fail(Errc::kNotFound, "no running pod asks for a GPU");
  return cluster;
}

}  // namespace tessera::cli
