#include "sim/scheduler/wire.h"

#include "common/json/json.h"

namespace tessera::sim::wire {
namespace {

using rapidjson::Value;

Result<void> CheckError(const Value& answer) {
  TESSERA_TRY(const auto error, json::GetStringOr(answer, "Error", ""));
  if (!error.empty()) return Fail(Errc::kUnavailable, error);
  return {};
}

Result<std::map<std::string, std::string>> Reasons(const Value& answer, const char* name) {
  std::map<std::string, std::string> out;
  if (json::Find(answer, name) == nullptr) return out;
  TESSERA_TRY(const Value* reasons, json::GetObject(answer, name));
  for (const auto& member : reasons->GetObject()) {
    if (!member.value.IsString()) {
      return Fail(Errc::kInvalidArgument, std::string(name) + " must hold strings");
    }
    out.emplace(json::View(member.name), json::View(member.value));
  }
  return out;
}

}  // namespace

std::string EncodeExtenderArgs(const Value& pod, const std::vector<std::string>& nodes) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("Pod");
  writer.StartObject();
  for (const auto& member : pod.GetObject()) {
    const std::string_view name = json::View(member.name);
    if (name == "apiVersion" || name == "kind") continue;
    writer.Key(name);
    writer.Value(member.value);
  }
  writer.EndObject();
  writer.Key("Nodes");
  writer.Null();
  writer.Key("NodeNames");
  writer.StartArray();
  for (const auto& node : nodes) writer.String(node);
  writer.EndArray();
  writer.EndObject();
  return writer.Take();
}

std::string EncodeBindingArgs(const BindingArgs& args) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("PodName");
  writer.String(args.name);
  writer.Key("PodNamespace");
  writer.String(args.name_space);
  writer.Key("PodUID");
  writer.String(args.uid);
  writer.Key("Node");
  writer.String(args.node);
  writer.EndObject();
  return writer.Take();
}

Result<FilterAnswer> DecodeFilterResult(std::string_view text) {
  TESSERA_TRY(const auto answer, json::Parse(text));
  if (auto ok = CheckError(answer); !ok) return tl::make_unexpected(ok.error());
  FilterAnswer out;
  if (json::Find(answer, "NodeNames") != nullptr) {
    TESSERA_TRY(const Value* names, json::GetArray(answer, "NodeNames"));
    for (const Value& name : names->GetArray()) {
      if (!name.IsString()) return Fail(Errc::kInvalidArgument, "NodeNames must be strings");
      out.nodes.emplace_back(json::View(name));
    }
  }
  TESSERA_TRY(out.failed, Reasons(answer, "FailedNodes"));
  TESSERA_TRY(out.unresolvable, Reasons(answer, "FailedAndUnresolvableNodes"));
  return out;
}

Result<std::map<std::string, std::int64_t>> DecodeHostPriorities(std::string_view text) {
  TESSERA_TRY(const auto answer, json::Parse(text));
  if (!answer.IsArray()) return Fail(Errc::kInvalidArgument, "the answer must be an array");
  std::map<std::string, std::int64_t> out;
  for (const Value& entry : answer.GetArray()) {
    TESSERA_TRY(const auto host, json::GetString(entry, "Host"));
    TESSERA_TRY(out[host], json::GetInt(entry, "Score"));
  }
  return out;
}

Result<void> DecodeBindingResult(std::string_view text) {
  TESSERA_TRY(const auto answer, json::Parse(text));
  return CheckError(answer);
}

}  // namespace tessera::sim::wire
