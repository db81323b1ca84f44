#include "agent/node_plan.h"

#include "common/contract/names.h"
#include "common/contract/quantity.h"
#include "common/json/json.h"

namespace tessera::agent {
namespace {

constexpr std::int64_t kSharesPerGpu = 100;

std::string InventoryPatch(const std::string& inventory) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("metadata");
  writer.StartObject();
  writer.Key("annotations");
  writer.StartObject();
  writer.Key(names::kInventory);
  writer.String(inventory);
  writer.EndObject();
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

std::string CapacityPatch(const std::map<std::string, std::int64_t>& capacity) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("status");
  writer.StartObject();
  writer.Key("capacity");
  writer.StartObject();
  for (const auto& [name, value] : capacity) {
    writer.Key(name);
    writer.String(std::to_string(value));
  }
  writer.EndObject();
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

/// The API server writes 3000 as "3k". A resource that is not there counts as 0.
bool Says(const NodeView& node, const std::string& name, std::int64_t value) {
  const auto found = node.capacity.find(name);
  if (found == node.capacity.end()) return value == 0;
  return contract::ParseWhole(found->second) == value;
}

}  // namespace

std::map<std::string, std::int64_t> CapacityOf(const contract::Inventory& inventory) {
  std::int64_t gpus = 0;
  std::int64_t memory_mib = 0;
  std::int64_t cores = 0;
  for (const binpack::GpuDevice& gpu : inventory.gpus) {
    if (!gpu.healthy) continue;
    ++gpus;
    memory_mib += gpu.memory_mib;
    cores += gpu.cores_percent;
  }
  return {{std::string(names::kResourceGpu), gpus * kSharesPerGpu},
          {std::string(names::kResourceGpuMemory), memory_mib},
          {std::string(names::kResourceGpuMemoryPercent), gpus * 100},
          {std::string(names::kResourceGpuCores), cores}};
}

bool IsCapacityResource(std::string_view name) {
  return name == names::kResourceGpu || name == names::kResourceGpuMemory ||
         name == names::kResourceGpuMemoryPercent || name == names::kResourceGpuCores;
}

NodePatches PlanNode(const NodeView& node, const contract::Inventory& inventory) {
  NodePatches patches;
  const std::string text = contract::EncodeInventory(inventory);
  if (node.inventory != text) patches.metadata = InventoryPatch(text);
  auto capacity = CapacityOf(inventory);
  std::erase_if(capacity, [&](const auto& entry) { return Says(node, entry.first, entry.second); });
  if (!capacity.empty()) patches.status = CapacityPatch(capacity);
  return patches;
}

}  // namespace tessera::agent
