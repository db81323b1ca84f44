#include "webhook/wire.h"

#include "common/base/base64.h"
#include "common/contract/names.h"
#include "common/contract/pod_request.h"
#include "common/json/json.h"
#include "webhook/wire_pod.h"

namespace tessera::webhook {
namespace {

using rapidjson::Value;

constexpr std::string_view kApiVersion = "admission.k8s.io/v1";

std::string PodKey(const Value& request, const Value& pod) {
  const auto space = json::GetStringOr(request, "namespace", "").value_or("");
  const Value* metadata = json::Find(pod, "metadata");
  if (metadata == nullptr) return space + "/";
  const auto name = json::GetStringOr(*metadata, "name", "").value_or("");
  if (!name.empty()) return space + "/" + name;
  return space + "/" + json::GetStringOr(*metadata, "generateName", "").value_or("") + "*";
}

Result<Event> EventOf(const Value& request) {
  TESSERA_TRY(const auto operation, json::GetString(request, "operation"));
  TESSERA_TRY(const auto subresource, json::GetStringOr(request, "subResource", ""));
  TESSERA_TRY(const Value* kind, json::GetObject(request, "kind"));
  TESSERA_TRY(const auto group, json::GetStringOr(*kind, "group", ""));
  TESSERA_TRY(const auto kind_name, json::GetString(*kind, "kind"));
  if (!group.empty() || kind_name != "Pod") return Event::kOther;
  if (operation == "CREATE" && subresource.empty()) return Event::kPodCreation;
  if (operation == "UPDATE" && subresource == "ephemeralcontainers") return Event::kDebugSession;
  return Event::kOther;
}

Result<void> DecodeCreation(const Value& pod, AdmissionRequest& into) {
  into.asked = contract::DecodePodRequest(pod);
  if (!into.asked) return {};
  auto annotated = contract::AnnotatedContainer(pod);
  if (!annotated) return tl::make_unexpected(annotated.error());
  into.annotated_container = *std::move(annotated);
  return {};
}

void DecodeDebugSession(const Value& request, AdmissionRequest& into) {
  const Value* label =
      json::FindPath(request, {"oldObject", "metadata", "labels", names::kManagedLabel});
  into.was_managed = label != nullptr && label->IsString() && json::View(*label) == "true";
  const Value* old = json::FindPath(request, {"oldObject", "spec", "ephemeralContainers"});
  if (old == nullptr || !old->IsArray()) return;
  for (const Value& container : old->GetArray()) {
    const auto name = json::GetStringOr(container, "name", "");
    if (name && !name->empty()) into.old_ephemeral.insert(*name);
  }
}

Result<AdmissionRequest> DecodeRequest(const Value& request) {
  AdmissionRequest parsed;
  TESSERA_TRY(parsed.event, EventOf(request));
  if (parsed.event == Event::kOther) return parsed;
  TESSERA_TRY(const Value* pod, json::GetObject(request, "object"));
  parsed.pod_key = PodKey(request, *pod);
  auto view = DecodePodView(*pod);
  if (!view) return Fail(view.error().code, "object." + view.error().message);
  parsed.pod = *std::move(view);
  if (parsed.event == Event::kDebugSession) {
    DecodeDebugSession(request, parsed);
  } else if (const auto ok = DecodeCreation(*pod, parsed); !ok) {
    return tl::make_unexpected(ok.error());
  }
  return parsed;
}

/// The request object; its errors come after the uid is known.
Result<const Value*> FindRequest(const Value& review) {
  TESSERA_TRY(const Value* request, json::GetObject(review, "request"));
  return request;
}

Result<void> CheckType(const Value& review) {
  TESSERA_TRY(const auto version, json::GetString(review, "apiVersion"));
  TESSERA_TRY(const auto kind, json::GetString(review, "kind"));
  if (version != kApiVersion) {
    return Fail(Errc::kInvalidArgument,
                "apiVersion must be " + std::string(kApiVersion) + ", not \"" + version + "\"");
  }
  if (kind != "AdmissionReview") {
    return Fail(Errc::kInvalidArgument, "kind must be AdmissionReview, not \"" + kind + "\"");
  }
  return {};
}

}  // namespace

Review ParseReview(std::string_view text) {
  const auto document = json::Parse(text);
  if (!document) return {"", tl::make_unexpected(document.error())};
  if (!document->IsObject())
    return {"", Fail(Errc::kInvalidArgument, "the body must be an object")};
  const auto request = FindRequest(*document);
  if (!request) return {"", tl::make_unexpected(request.error())};
  auto uid = json::GetString(**request, "uid");
  if (!uid || uid->empty()) {
    return {"", Fail(Errc::kInvalidArgument,
                     uid ? "request.uid is empty" : "request." + uid.error().message)};
  }
  if (const auto ok = CheckType(*document); !ok) return {*uid, tl::make_unexpected(ok.error())};
  auto parsed = DecodeRequest(**request);
  if (!parsed) parsed.error().message.insert(0, "request.");
  return {*std::move(uid), std::move(parsed)};
}

std::string EncodeReview(std::string_view uid, const Decision& decision) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("apiVersion");
  writer.String(kApiVersion);
  writer.Key("kind");
  writer.String("AdmissionReview");
  writer.Key("response");
  writer.StartObject();
  writer.Key("uid");
  writer.String(uid);
  writer.Key("allowed");
  writer.Bool(decision.allowed);
  if (decision.allowed && !decision.patch.empty()) {
    writer.Key("patchType");
    writer.String("JSONPatch");
    writer.Key("patch");
    writer.String(base64::Encode(EncodePatch(decision.patch)));
  }
  if (!decision.allowed) {
    writer.Key("status");
    writer.StartObject();
    writer.Key("code");
    writer.Int(decision.code);
    writer.Key("message");
    writer.String(decision.message);
    writer.EndObject();
  }
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

}  // namespace tessera::webhook
