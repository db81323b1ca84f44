#include "sim/admission/review.h"

#include "common/base/base64.h"
#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

constexpr const char* kVersion = "admission.k8s.io/v1";

Error Bad(const std::string& what) { return {Errc::kInvalidArgument, what}; }

Result<std::string> DecodePatch(const Value& response) {
  if (json::Find(response, "patch") == nullptr) return std::string();
  TESSERA_TRY(const auto type, json::GetString(response, "patchType"));
  if (type != "JSONPatch") return tl::make_unexpected(Bad("patchType must be JSONPatch"));
  TESSERA_TRY(const auto encoded, json::GetString(response, "patch"));
  auto patch = base64::Decode(encoded);
  if (!patch) return tl::make_unexpected(Bad("patch must be base64"));
  return *std::move(patch);
}

}  // namespace

std::string BuildReview(const Value& pod, std::string_view name_space, std::string_view uid,
                        bool dry_run) {
  json::Writer writer;
  const auto text = [&writer](const char* key, std::string_view value) {
    writer.Key(key);
    writer.String(value);
  };
  writer.StartObject();
  text("kind", "AdmissionReview");
  text("apiVersion", kVersion);
  writer.Key("request");
  writer.StartObject();
  text("uid", uid);
  for (const char* kind : {"kind", "requestKind"}) {
    writer.Key(kind);
    writer.Raw(R"({"group":"","version":"v1","kind":"Pod"})");
  }
  for (const char* resource : {"resource", "requestResource"}) {
    writer.Key(resource);
    writer.Raw(R"({"group":"","version":"v1","resource":"pods"})");
  }
  const std::string name = TextAt(pod, {"metadata", "name"});
  if (!name.empty()) text("name", name);
  text("namespace", name_space);
  text("operation", "CREATE");
  writer.Key("userInfo");
  writer.Raw(
      R"({"username":"kubernetes-admin","groups":["system:masters","system:authenticated"]})");
  writer.Key("object");
  writer.Value(pod);
  writer.Key("oldObject");
  writer.Null();
  writer.Key("dryRun");
  writer.Bool(dry_run);
  writer.Key("options");
  writer.Raw(R"({"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"})");
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

Result<AdmissionAnswer> ReadReview(std::string_view text, std::string_view uid) {
  TESSERA_TRY(const auto review, json::Parse(text));
  if (TextAt(review, {"apiVersion"}) != kVersion || TextAt(review, {"kind"}) != "AdmissionReview") {
    return tl::make_unexpected(
        Bad("the answer must be an AdmissionReview of " + std::string(kVersion)));
  }
  TESSERA_TRY(const Value* response, json::GetObject(review, "response"));
  TESSERA_TRY(const auto answered, json::GetString(*response, "uid"));
  if (answered != uid) return tl::make_unexpected(Bad("response.uid is not the request's"));
  AdmissionAnswer answer;
  TESSERA_TRY(answer.allowed, json::GetBool(*response, "allowed"));
  if (!answer.allowed) {
    const Value* code = json::FindPath(*response, {"status", "code"});
    if (code != nullptr && code->IsInt() && code->GetInt() >= 400) answer.code = code->GetInt();
    answer.message = TextAt(*response, {"status", "message"});
    return answer;
  }
  TESSERA_TRY(answer.json_patch, DecodePatch(*response));
  return answer;
}

}  // namespace tessera::sim
