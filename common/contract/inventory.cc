#include "common/contract/inventory.h"

#include <algorithm>
#include <set>

#include "common/contract/fields.h"
#include "common/json/json.h"

namespace tessera::contract {
namespace {

using binpack::GpuDevice;

constexpr int kVersion = 1;
constexpr int kMaxIndex = 65535;
constexpr int kMaxNumaNode = 65535;
/// A device may offer more than itself where an administrator over-commits compute.
constexpr std::int64_t kMaxCoresPercent = 100 * binpack::kWholeGpuCores;

Result<GpuDevice> DecodeGpu(const rapidjson::Value& value) {
  if (!value.IsObject()) return Fail(Errc::kInvalidArgument, "must be an object");
  GpuDevice gpu;
  TESSERA_TRY(gpu.uuid, GetUuid(value));
  TESSERA_TRY(const auto index, GetIntIn(value, "index", 0, kMaxIndex));
  gpu.index = static_cast<int>(index);
  TESSERA_TRY(gpu.model, json::GetString(value, "model"));
  TESSERA_TRY(gpu.memory_mib, GetIntIn(value, "memoryMiB", 1, binpack::kMaxMemoryMib));
  TESSERA_TRY(gpu.cores_percent, GetIntIn(value, "cores", 1, kMaxCoresPercent));
  if (json::Find(value, "numa") != nullptr) {
    TESSERA_TRY(const auto numa, GetIntIn(value, "numa", -1, kMaxNumaNode));
    gpu.numa_node = static_cast<int>(numa);
  }
  TESSERA_TRY(gpu.healthy, json::GetBool(value, "healthy"));
  TESSERA_TRY(gpu.health_reason, json::GetStringOr(value, "reason", ""));
  if (json::Find(value, "mps") != nullptr) {
    TESSERA_TRY(gpu.mps, json::GetBool(value, "mps"));
  }
  return gpu;
}

void EncodeGpu(json::Writer& writer, const GpuDevice& gpu) {
  writer.StartObject();
  writer.Key("uuid");
  writer.String(gpu.uuid);
  writer.Key("index");
  writer.Int(gpu.index);
  writer.Key("model");
  writer.String(gpu.model);
  writer.Key("memoryMiB");
  writer.Int(gpu.memory_mib);
  writer.Key("cores");
  writer.Int(gpu.cores_percent);
  writer.Key("numa");
  writer.Int(gpu.numa_node);
  writer.Key("healthy");
  writer.Bool(gpu.healthy);
  if (!gpu.health_reason.empty()) {
    writer.Key("reason");
    writer.String(gpu.health_reason);
  }
  if (gpu.mps) {
    writer.Key("mps");
    writer.Bool(true);
  }
  writer.EndObject();
}

std::vector<GpuDevice> ByIndex(std::vector<GpuDevice> gpus) {
  std::stable_sort(gpus.begin(), gpus.end(),
                   [](const GpuDevice& a, const GpuDevice& b) { return a.index < b.index; });
  return gpus;
}

}  // namespace

std::string EncodeInventory(const Inventory& inventory) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("version");
  writer.Int(kVersion);
  writer.Key("driver");
  writer.String(inventory.driver_version);
  writer.Key("gpus");
  writer.StartArray();
  for (const GpuDevice& gpu : ByIndex(inventory.gpus)) EncodeGpu(writer, gpu);
  writer.EndArray();
  writer.EndObject();
  return writer.Take();
}

Result<Inventory> DecodeInventory(std::string_view text) {
  TESSERA_TRY(const auto document, json::Parse(text));
  if (const auto ok = RequireVersion(document, kVersion); !ok)
    return tl::make_unexpected(ok.error());
  Inventory inventory;
  TESSERA_TRY(inventory.driver_version, json::GetStringOr(document, "driver", ""));
  TESSERA_TRY(const auto* gpus, json::GetArray(document, "gpus"));
  if (gpus->Size() > static_cast<unsigned>(binpack::kMaxGpusPerNode)) {
    return Fail(Errc::kInvalidArgument,
                "gpus has " + std::to_string(gpus->Size()) + " entries; at most " +
                    std::to_string(binpack::kMaxGpusPerNode) + " are allowed");
  }
  std::set<std::string> uuids;
  for (rapidjson::SizeType i = 0; i < gpus->Size(); ++i) {
    auto gpu = DecodeGpu((*gpus)[i]);
    if (!gpu) return InPath(gpu.error(), "gpus", i);
    if (!uuids.insert(gpu->uuid).second) {
      return InPath({Errc::kInvalidArgument, "uuid " + gpu->uuid + " stands twice"}, "gpus", i);
    }
    inventory.gpus.push_back(*std::move(gpu));
  }
  inventory.gpus = ByIndex(std::move(inventory.gpus));
  return inventory;
}

}  // namespace tessera::contract
