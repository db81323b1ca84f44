#include "agent/wire.h"

#include <set>
#include <string>
#include <string_view>

#include "binpack/types.h"
#include "common/contract/names.h"
#include "common/json/json.h"

namespace tessera::agent {
namespace {

using rapidjson::Value;

std::string QuantityText(const Value& value) {
  return value.IsString() ? std::string(json::View(value)) : json::Dump(value);
}

/// Names of the containers that are in `state` now, from one of the status lists. A list of another
/// shape tells of none.
void AddInState(const Value& pod, std::string_view list, std::string_view state,
                std::set<std::string, std::less<>>& into) {
  const Value* statuses = json::FindPath(pod, {"status", list});
  if (statuses == nullptr || !statuses->IsArray()) return;
  for (const Value& status : statuses->GetArray()) {
    const auto name = json::GetString(status, "name");
    if (name && json::FindPath(status, {"state", state}) != nullptr) into.insert(*name);
  }
}

Result<void> AddContainers(const Value& pod, std::string_view list, binpack::ContainerKind kind,
                           std::map<std::string, ContainerInfo>& into) {
  const Value* containers = json::FindPath(pod, {"spec", list});
  if (containers == nullptr) return {};
  if (!containers->IsArray()) {
    return Fail(Errc::kInvalidArgument, "spec." + std::string(list) + " must be an array");
  }
  for (rapidjson::SizeType i = 0; i < containers->Size(); ++i) {
    auto name = json::GetString((*containers)[i], "name");
    if (!name) {
      return Wrap(name.error(), "spec." + std::string(list) + "[" + std::to_string(i) + "]");
    }
    into[binpack::SlotName(kind, static_cast<int>(i))].name = *std::move(name);
  }
  return {};
}

Result<void> DecodeContainers(const Value& pod, Pod& into) {
  auto ok = AddContainers(pod, "initContainers", binpack::ContainerKind::kInit, into.containers);
  if (ok) ok = AddContainers(pod, "containers", binpack::ContainerKind::kApp, into.containers);
  if (!ok) return ok;
  std::set<std::string, std::less<>> running;
  std::set<std::string, std::less<>> ended;
  for (const std::string_view list : {"initContainerStatuses", "containerStatuses"}) {
    AddInState(pod, list, "running", running);
    AddInState(pod, list, "terminated", ended);
  }
  for (auto& [slot, container] : into.containers) {
    container.running = running.contains(container.name);
    container.ended = ended.contains(container.name);
  }
  return {};
}

void DecodeAssignment(const Value& pod, Pod& into) {
  const Value* text = json::FindPath(pod, {"metadata", "annotations", names::kAssignment});
  if (text == nullptr) return;
  if (!text->IsString()) {
    into.assignment_error = "annotation " + std::string(names::kAssignment) + " must be a string";
    return;
  }
  auto assignment = contract::DecodeAssignment(json::View(*text));
  if (assignment) {
    into.assignment = *std::move(assignment);
  } else {
    into.assignment_error =
        "annotation " + std::string(names::kAssignment) + ": " + assignment.error().message;
  }
}

/// Limits that cannot be read are as good as none: the assignment has them, too.
void DecodeLimits(const Value& pod, Pod& into) {
  if (!into.assignment) return;
  for (const auto& container : into.assignment->placement.containers) {
    const std::string slot = binpack::SlotName(container.kind, container.index);
    const Value* text = json::FindPath(
        pod, {"metadata", "annotations", names::SlotKey(slot, names::kLimitsSuffix)});
    if (text == nullptr || !text->IsString()) continue;
    auto limits = contract::DecodeLimits(json::View(*text));
    if (limits) into.limits[slot] = *std::move(limits);
  }
}

}  // namespace

Result<NodeView> DecodeNode(const Value& node) {
  NodeView view;
  TESSERA_TRY([[maybe_unused]] const Value* metadata, json::GetObject(node, "metadata"));
  if (const Value* text = json::FindPath(node, {"metadata", "annotations", names::kInventory});
      text != nullptr && text->IsString()) {
    view.inventory = json::View(*text);
  }
  const Value* capacity = json::FindPath(node, {"status", "capacity"});
  if (capacity == nullptr || !capacity->IsObject()) return view;
  for (const auto& member : capacity->GetObject()) {
    const std::string name(json::View(member.name));
    if (IsCapacityResource(name)) view.capacity[name] = QuantityText(member.value);
  }
  return view;
}

Result<Pod> DecodePod(const Value& pod) {
  Pod decoded;
  TESSERA_TRY(const Value* metadata, json::GetObject(pod, "metadata"));
  TESSERA_TRY(decoded.uid, json::GetString(*metadata, "uid"));
  TESSERA_TRY(decoded.space, json::GetStringOr(*metadata, "namespace", "default"));
  TESSERA_TRY(decoded.name, json::GetString(*metadata, "name"));
  if (const Value* status = json::Find(pod, "status")) {
    TESSERA_TRY(const auto phase, json::GetStringOr(*status, "phase", ""));
    decoded.finished = phase == "Succeeded" || phase == "Failed";
  }
  if (const auto ok = DecodeContainers(pod, decoded); !ok) return Wrap(ok.error(), decoded.key());
  DecodeAssignment(pod, decoded);
  DecodeLimits(pod, decoded);
  return decoded;
}

}  // namespace tessera::agent
