#include "common/contract/assignment.h"

#include <algorithm>
#include <set>

#include "common/contract/fields.h"
#include "common/contract/names.h"
#include "common/json/json.h"

namespace tessera::contract {
namespace {

using binpack::ContainerKind;
using binpack::ContainerPlacement;
using binpack::DeviceShare;

constexpr int kVersion = 1;
constexpr std::size_t kMaxContainers = 1024;

/// The index in "c12" or "i3", if it is written as SlotName writes it.
Result<int> SlotIndex(const std::string& slot, ContainerKind kind) {
  int index = 0;
  const bool shaped =
      slot.size() >= 2 && slot.size() <= 5 &&
      std::all_of(slot.begin() + 1, slot.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (shaped) index = std::stoi(slot.substr(1));
  if (!shaped || slot != binpack::SlotName(kind, index)) {
    return Fail(Errc::kInvalidArgument,
                "slot must be c0, c1, ... for an app container and i0, i1, ... for the others");
  }
  return index;
}

Result<DeviceShare> DecodeShare(const rapidjson::Value& value) {
  if (!value.IsObject()) return Fail(Errc::kInvalidArgument, "must be an object");
  DeviceShare share;
  TESSERA_TRY(share.uuid, GetUuid(value));
  TESSERA_TRY(share.memory_mib, GetIntIn(value, "memoryMiB", 1, binpack::kMaxMemoryMib));
  TESSERA_TRY(share.cores_percent, GetIntIn(value, "cores", 0, binpack::kWholeGpuCores));
  if (json::Find(value, "hostMemoryMiB") != nullptr) {
    TESSERA_TRY(share.host_memory_mib,
                GetIntIn(value, "hostMemoryMiB", 1, binpack::kMaxHostMemoryMib));
  }
  return share;
}

Result<ContainerPlacement> DecodeContainer(const rapidjson::Value& value) {
  if (!value.IsObject()) return Fail(Errc::kInvalidArgument, "must be an object");
  ContainerPlacement container;
  TESSERA_TRY(const auto kind, json::GetString(value, "kind"));
  const auto known = ParseContainerKind(kind);
  if (!known) return Fail(Errc::kInvalidArgument, "kind must be app, init or sidecar");
  container.kind = *known;
  TESSERA_TRY(const auto slot, json::GetString(value, "slot"));
  TESSERA_TRY(container.index, SlotIndex(slot, container.kind));
  TESSERA_TRY(const auto* gpus, json::GetArray(value, "gpus"));
  if (gpus->Empty() || gpus->Size() > static_cast<unsigned>(binpack::kMaxGpusPerNode)) {
    return Fail(Errc::kInvalidArgument,
                "gpus must have 1 to " + std::to_string(binpack::kMaxGpusPerNode) + " entries");
  }
  std::set<std::string> uuids;
  for (rapidjson::SizeType i = 0; i < gpus->Size(); ++i) {
    auto share = DecodeShare((*gpus)[i]);
    if (!share) return InPath(share.error(), "gpus", i);
    if (!uuids.insert(share->uuid).second) {
      return InPath({Errc::kInvalidArgument, "uuid " + share->uuid + " stands twice"}, "gpus", i);
    }
    container.devices.push_back(*std::move(share));
  }
  return container;
}

void EncodeContainer(json::Writer& writer, const ContainerPlacement& container) {
  writer.StartObject();
  writer.Key("slot");
  writer.String(binpack::SlotName(container.kind, container.index));
  writer.Key("kind");
  writer.String(ContainerKindName(container.kind));
  writer.Key("gpus");
  writer.StartArray();
  for (const DeviceShare& share : container.devices) {
    writer.StartObject();
    writer.Key("uuid");
    writer.String(share.uuid);
    writer.Key("memoryMiB");
    writer.Int(share.memory_mib);
    writer.Key("cores");
    writer.Int(share.cores_percent);
    if (share.host_memory_mib > 0) {
      writer.Key("hostMemoryMiB");
      writer.Int(share.host_memory_mib);
    }
    writer.EndObject();
  }
  writer.EndArray();
  writer.EndObject();
}

std::string DevicesText(const ContainerPlacement& container) {
  std::string text;
  for (const DeviceShare& share : container.devices) {
    if (!text.empty()) text += ',';
    text += share.uuid;
  }
  return text;
}

}  // namespace

std::string EncodeAssignment(const Assignment& assignment) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("version");
  writer.Int(kVersion);
  writer.Key("node");
  writer.String(assignment.node);
  writer.Key("computePolicy");
  writer.String(ComputePolicyName(assignment.compute_policy));
  writer.Key("isolation");
  writer.String(IsolationName(assignment.isolation));
  writer.Key("containers");
  writer.StartArray();
  for (const auto& container : assignment.placement.containers) EncodeContainer(writer, container);
  writer.EndArray();
  writer.EndObject();
  return writer.Take();
}

Result<Assignment> DecodeAssignment(std::string_view text) {
  TESSERA_TRY(const auto document, json::Parse(text));
  if (const auto ok = RequireVersion(document, kVersion); !ok)
    return tl::make_unexpected(ok.error());
  Assignment assignment;
  TESSERA_TRY(assignment.node, json::GetString(document, "node"));
  if (assignment.node.empty()) return Fail(Errc::kInvalidArgument, "node must not be empty");
  TESSERA_TRY(const auto policy, json::GetString(document, "computePolicy"));
  const auto known_policy = ParseComputePolicy(policy);
  if (!known_policy)
    return Fail(Errc::kInvalidArgument,
                "computePolicy must be fixed-share, burst-share or best-effort");
  assignment.compute_policy = *known_policy;
  TESSERA_TRY(const auto isolation, json::GetString(document, "isolation"));
  const auto known_isolation = ParseIsolation(isolation);
  if (!known_isolation)
    return Fail(Errc::kInvalidArgument, "isolation must be shared, exclusive or mps");
  assignment.isolation = *known_isolation;
  TESSERA_TRY(const auto* containers, json::GetArray(document, "containers"));
  if (containers->Empty() || containers->Size() > kMaxContainers) {
    return Fail(Errc::kInvalidArgument,
                "containers must have 1 to " + std::to_string(kMaxContainers) + " entries");
  }
  std::set<std::string> slots;
  for (rapidjson::SizeType i = 0; i < containers->Size(); ++i) {
    auto container = DecodeContainer((*containers)[i]);
    if (!container) return InPath(container.error(), "containers", i);
    if (!slots.insert(binpack::SlotName(container->kind, container->index)).second) {
      return InPath({Errc::kInvalidArgument, "slot stands twice"}, "containers", i);
    }
    assignment.placement.containers.push_back(*std::move(container));
  }
  return assignment;
}

std::map<std::string, std::string> BindingAnnotations(const Assignment& assignment) {
  std::map<std::string, std::string> annotations;
  annotations[std::string(names::kAssignment)] = EncodeAssignment(assignment);
  for (const auto& container : assignment.placement.containers) {
    const std::string slot = binpack::SlotName(container.kind, container.index);
    annotations[names::SlotKey(slot, names::kDevicesSuffix)] = DevicesText(container);
    annotations[names::SlotKey(slot, names::kLimitsSuffix)] =
        EncodeLimits(assignment.compute_policy, assignment.isolation, container);
    if (assignment.isolation != binpack::Isolation::kMps || container.devices.empty()) continue;
    // One GPU a container (pod_request.cc), and its daemon serves no other: device 0.
    const DeviceShare& share = container.devices.front();
    annotations[names::SlotKey(slot, names::kMpsThreadsSuffix)] =
        std::to_string(share.cores_percent);
    annotations[names::SlotKey(slot, names::kMpsMemorySuffix)] =
        "0=" + std::to_string(share.memory_mib) + "M";
  }
  return annotations;
}

std::string EncodeLimits(binpack::ComputePolicy policy, binpack::Isolation isolation,
                         const ContainerPlacement& container) {
  const bool mps = isolation == binpack::Isolation::kMps;
  const bool reserves_cores =
      std::any_of(container.devices.begin(), container.devices.end(),
                  [](const DeviceShare& share) { return share.cores_percent > 0; });
  const auto effective = reserves_cores ? policy : binpack::ComputePolicy::kBestEffort;
  std::string text = "v1 " + std::string(ComputePolicyName(effective));
  for (const DeviceShare& share : container.devices) {
    text += " " + share.uuid + ":" + std::to_string(share.memory_mib) + ":" +
            std::to_string(mps ? 0 : share.cores_percent);
    if (share.host_memory_mib > 0) text += ":" + std::to_string(share.host_memory_mib);
  }
  return text;
}

}  // namespace tessera::contract
