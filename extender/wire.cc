#include "extender/wire.h"

#include "common/contract/names.h"
#include "common/contract/pod_request.h"
#include "common/json/json.h"
#include "extender/wire_objects.h"

namespace tessera::extender {
namespace {

using rapidjson::Value;

Result<WirePod> ParsePod(const Value& args) {
  TESSERA_TRY(const auto* pod, json::GetObject(args, "Pod"));
  if (const auto meta = ReadMeta(*pod); !meta)
    return Fail(meta.error().code, "Pod." + meta.error().message);
  return ReadPod(*pod);
}

Result<std::vector<std::string>> ParseNames(const Value& list) {
  std::vector<std::string> names;
  names.reserve(list.Size());
  for (const Value& name : list.GetArray()) {
    if (!name.IsString())
      return Fail(Errc::kInvalidArgument, "NodeNames must be an array of strings");
    names.emplace_back(json::View(name));
  }
  return names;
}

Result<std::vector<WireNode>> ParseNodes(const Value& list) {
  std::vector<WireNode> nodes;
  TESSERA_TRY(const auto* items, json::GetArray(list, "items"));
  for (rapidjson::SizeType i = 0; i < items->Size(); ++i) {
    const Value& object = (*items)[i];
    const auto meta = ReadMeta(object);
    if (!meta)
      return Fail(meta.error().code,
                  "Nodes.items[" + std::to_string(i) + "]." + meta.error().message);
    nodes.push_back({meta->name, json::Dump(object), ReadInventory(object)});
  }
  return nodes;
}

/// A MetaPod's UID, or that of a whole pod.
Result<std::string> ParseVictim(const Value& pod) {
  if (json::Find(pod, "UID") != nullptr) return json::GetString(pod, "UID");
  TESSERA_TRY(const auto meta, ReadMeta(pod));
  return meta.uid;
}

Result<NodeVictims> ParseNodeVictims(std::string_view name, const Value& victims) {
  const std::string where(name);
  NodeVictims node{.node = where};
  if (json::Find(victims, "Pods") == nullptr) return node;
  const auto pods = json::GetArray(victims, "Pods");
  if (!pods) return Wrap(pods.error(), where);
  for (const Value& pod : (*pods)->GetArray()) {
    auto uid = ParseVictim(pod);
    if (!uid) return Wrap(uid.error(), where + ": Pods");
    if (uid->empty()) return Fail(Errc::kInvalidArgument, where + ": Pods: a pod has no uid");
    node.uids.push_back(*std::move(uid));
  }
  const auto violations = json::GetIntOr(victims, "NumPDBViolations", 0);
  if (!violations) return Wrap(violations.error(), where);
  node.pdb_violations = *violations;
  return node;
}

void WriteFailed(json::Writer& writer, std::string_view key,
                 const std::vector<FailedNode>& failed) {
  writer.Key(key);
  writer.StartObject();
  for (const FailedNode& node : failed) {
    writer.Key(node.name);
    writer.String(node.reason);
  }
  writer.EndObject();
}

void WriteNames(json::Writer& writer, const FilterResult& result) {
  writer.Key("NodeNames");
  if (result.as_objects) {
    writer.Null();
    return;
  }
  writer.StartArray();
  for (const std::string& name : result.node_names) writer.String(name);
  writer.EndArray();
}

void WriteNodes(json::Writer& writer, const FilterResult& result) {
  writer.Key("Nodes");
  if (!result.as_objects) {
    writer.Null();
    return;
  }
  writer.StartObject();
  writer.Key("items");
  writer.StartArray();
  for (const std::string& object : result.node_objects) writer.Raw(object);
  writer.EndArray();
  writer.EndObject();
}

}  // namespace

Result<WirePod> ReadPod(const Value& pod) {
  TESSERA_TRY(const auto meta, ReadMeta(pod));
  WirePod out{.uid = meta.uid,
              .ns = meta.ns,
              .name = meta.name,
              .managed = false,
              .priority = PriorityOf(pod),
              .request = {}};
  if (out.uid.empty()) out.uid = out.key();
  out.managed = IsManaged(pod);
  auto request = contract::DecodePodRequest(pod);
  if (!request) return Wrap(request.error(), "pod " + out.key());
  out.request = *std::move(request);
  return out;
}

Result<ExtenderArgs> ParseExtenderArgs(std::string_view text) {
  TESSERA_TRY(const auto document, json::Parse(text));
  ExtenderArgs args;
  TESSERA_TRY(args.pod, ParsePod(document));
  if (json::Find(document, "NodeNames") != nullptr) {
    TESSERA_TRY(const auto* names, json::GetArray(document, "NodeNames"));
    TESSERA_TRY(args.node_names, ParseNames(*names));
    return args;
  }
  if (json::Find(document, "Nodes") == nullptr) {
    return Fail(Errc::kInvalidArgument, "NodeNames and Nodes are both missing");
  }
  TESSERA_TRY(const auto* nodes, json::GetObject(document, "Nodes"));
  auto parsed = ParseNodes(*nodes);
  if (!parsed) return tl::make_unexpected(parsed.error());
  args.nodes = *std::move(parsed);
  return args;
}

Result<BindingArgs> ParseBindingArgs(std::string_view text) {
  TESSERA_TRY(const auto document, json::Parse(text));
  BindingArgs args;
  TESSERA_TRY(args.name, json::GetString(document, "PodName"));
  TESSERA_TRY(args.ns, json::GetString(document, "PodNamespace"));
  TESSERA_TRY(args.uid, json::GetString(document, "PodUID"));
  TESSERA_TRY(args.node, json::GetString(document, "Node"));
  const std::pair<const char*, const std::string&> needed[] = {
      {"PodName", args.name}, {"PodNamespace", args.ns}, {"PodUID", args.uid}, {"Node", args.node}};
  for (const auto& [field, value] : needed) {
    if (value.empty())
      return Fail(Errc::kInvalidArgument, std::string(field) + " must not be empty");
  }
  for (const auto& [field, value] : {needed[0], needed[1]}) {
    if (!IsObjectName(value))
      return Fail(Errc::kInvalidArgument, std::string(field) + " is not a Kubernetes name");
  }
  return args;
}

Result<PreemptionArgs> ParsePreemptionArgs(std::string_view text) {
  TESSERA_TRY(const auto document, json::Parse(text));
  PreemptionArgs args;
  TESSERA_TRY(args.pod, ParsePod(document));
  for (const char* field : {"NodeNameToMetaVictims", "NodeNameToVictims"}) {
    if (json::Find(document, field) == nullptr) continue;
    TESSERA_TRY(const auto* nodes, json::GetObject(document, field));
    for (const auto& member : nodes->GetObject()) {
      auto node = ParseNodeVictims(json::View(member.name), member.value);
      if (!node) return Wrap(node.error(), field);
      args.nodes.push_back(*std::move(node));
    }
    return args;
  }
  return Fail(Errc::kInvalidArgument,
              "NodeNameToMetaVictims and NodeNameToVictims are both missing");
}

std::string FilterResultJson(const FilterResult& result) {
  json::Writer writer;
  writer.StartObject();
  WriteNodes(writer, result);
  WriteNames(writer, result);
  WriteFailed(writer, "FailedNodes", result.failed);
  WriteFailed(writer, "FailedAndUnresolvableNodes", result.failed_and_unresolvable);
  writer.Key("Error");
  writer.String("");
  writer.EndObject();
  return writer.Take();
}

std::string FilterErrorJson(std::string_view error) {
  json::Writer writer;
  writer.StartObject();
  for (const char* key : {"Nodes", "NodeNames", "FailedNodes", "FailedAndUnresolvableNodes"}) {
    writer.Key(key);
    writer.Null();
  }
  writer.Key("Error");
  writer.String(error.empty() ? "unknown error" : error);
  writer.EndObject();
  return writer.Take();
}

std::string HostPrioritiesJson(const std::vector<HostPriority>& scores) {
  json::Writer writer;
  writer.StartArray();
  for (const HostPriority& score : scores) {
    writer.StartObject();
    writer.Key("Host");
    writer.String(score.host);
    writer.Key("Score");
    writer.Int(score.score);
    writer.EndObject();
  }
  writer.EndArray();
  return writer.Take();
}

std::string BindingResultJson(std::string_view error) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("Error");
  writer.String(error);
  writer.EndObject();
  return writer.Take();
}

std::string PreemptionResultJson(const std::vector<NodeVictims>& nodes) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("NodeNameToMetaVictims");
  writer.StartObject();
  for (const NodeVictims& node : nodes) {
    writer.Key(node.node);
    writer.StartObject();
    writer.Key("Pods");
    writer.StartArray();
    for (const std::string& uid : node.uids) {
      writer.StartObject();
      writer.Key("UID");
      writer.String(uid);
      writer.EndObject();
    }
    writer.EndArray();
    writer.Key("NumPDBViolations");
    writer.Int(node.pdb_violations);
    writer.EndObject();
  }
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

}  // namespace tessera::extender
