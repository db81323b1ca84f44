#include "sim/kube/routes.h"

#include <charconv>
#include <utility>

#include "common/http/status.h"
#include "common/json/json.h"
#include "common/json/json_patch.h"
#include "sim/kube/strategic_merge.h"
#include "sim/kube/watch.h"

namespace tessera::sim {
namespace {

using rapidjson::Document;

constexpr std::chrono::seconds kDefaultWatchTime{1800};

http::Response Say(const Refusal& refusal) {
  return http::StatusResponse(refusal.code, refusal.message, refusal.reason);
}

http::Response Say(const Reply<ObjectPtr>& reply, int status = 200) {
  if (!reply) return Say(reply.error());
  return {.status = status, .body = (*reply)->json};
}

tl::unexpected<Refusal> BadRequest(std::string message) {
  return Refuse(400, "BadRequest", std::move(message));
}

Reply<Document> ParseBody(const http::Request& request) {
  auto parsed = json::Parse(request.body);
  if (!parsed) return BadRequest("the body is " + parsed.error().message);
  return *std::move(parsed);
}

template <typename T>
Reply<T> Number(const http::Request& request, const std::string& name, T fallback) {
  const std::string text = request.Query(name);
  if (text.empty()) return fallback;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < T{}) {
    return BadRequest(name + ": Invalid value: \"" + text + "\"");
  }
  return value;
}

bool Flag(const http::Request& request, const std::string& name) {
  const std::string text = request.Query(name);
  return text == "true" || text == "1";
}

Reply<Selector> ParseSelector(const http::Request& request) {
  return Selector::Parse(request.Query("labelSelector"), request.Query("fieldSelector"));
}

/// How a PATCH changes an object, by its content type.
Reply<Store::Mutation> PatchMutation(const http::Request& request) {
  auto parsed = ParseBody(request);
  if (!parsed) return tl::unexpected(parsed.error());
  const auto patch = std::make_shared<const Document>(*std::move(parsed));
  const std::string header = request.Header("content-type");
  const std::string type = header.substr(0, header.find(';'));
  if (type == "application/json-patch+json") {
    return [patch](Document& object) -> Reply<void> {
      const auto done = json::ApplyPatch(object, *patch);
      if (!done)
        return Refuse(422, "Invalid",
                      "the server rejected our request due to an error in our request: " +
                          done.error().message);
      return {};
    };
  }
  if (type != "application/merge-patch+json" && type != "application/strategic-merge-patch+json") {
    return Refuse(
        415, "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, "
        "application/strategic-merge-patch+json");
  }
  if (!patch->IsObject()) return BadRequest("a merge patch must be a JSON object");
  const bool strategic = type.starts_with("application/strategic");
  return [patch, strategic](Document& object) -> Reply<void> {
    if (strategic) {
      ApplyStrategicMerge(object, *patch, object.GetAllocator());
    } else {
      json::ApplyMergePatch(object, *patch);
    }
    return {};
  };
}

Reply<DeleteOptions> ParseDeleteOptions(const http::Request& request) {
  DeleteOptions options;
  if (!request.body.empty()) {
    const auto body = ParseBody(request);
    if (!body) return tl::unexpected(body.error());
    if (const auto* given = json::Find(*body, "preconditions")) {
      options.uid = json::GetStringOr(*given, "uid", "").value_or("");
      options.resource_version = json::GetStringOr(*given, "resourceVersion", "").value_or("");
    }
    if (json::Find(*body, "gracePeriodSeconds") != nullptr) {
      const auto grace = json::GetInt(*body, "gracePeriodSeconds");
      if (!grace) return BadRequest(grace.error().message);
      options.grace_seconds = *grace;
    }
  }
  if (!request.Query("gracePeriodSeconds").empty()) {
    const auto grace = Number<std::int64_t>(request, "gracePeriodSeconds", 0);
    if (!grace) return tl::unexpected(grace.error());
    options.grace_seconds = *grace;
  }
  return options;
}

std::string ListJson(const Resource& resource, const ListPage& page) {
  json::Writer head;
  head.StartObject();
  head.Key("resourceVersion");
  head.String(std::to_string(page.version));
  if (!page.next.empty()) {
    head.Key("continue");
    head.String(page.next);
  }
  head.EndObject();
  std::string body = "{\"kind\":\"" + std::string(resource.kind) + "List\",\"apiVersion\":\"" +
                     resource.ApiVersion() + "\",\"metadata\":" + head.Take() + ",\"items\":[";
  for (const ObjectPtr& object : page.items) {
    if (&object != &page.items.front()) body += ',';
    body += object->json;
  }
  return body + "]}";
}

http::Response MethodNotAllowed() {
  return http::StatusResponse(405,
                              "the server does not allow this method on the requested resource");
}

bool KnownSubresource(const Target& target) {
  return target.subresource.empty() ||
         (target.subresource == "status" && target.resource->status) ||
         (target.subresource == "binding" && target.resource->plural == "pods");
}

}  // namespace

void Routes::SetAdmission(AdmissionHook hook) {
  const std::lock_guard lock(mu_);
  admission_ = std::move(hook);
}

http::StreamResponse Routes::Answer(const http::Request& request) {
  const auto target = ParseTarget(request.path);
  if (!target || !KnownSubresource(*target)) {
    return {.head = http::StatusResponse(404, "the server could not find the requested resource")};
  }
  const std::string& method = request.method;
  const bool collection = target->name.empty();
  if (target->subresource == "binding") {
    return {.head = method == "POST" ? Bind(*target, request) : MethodNotAllowed()};
  }
  if (method == "GET" && collection && Flag(request, "watch")) return Watch(*target, request);
  if (method == "GET") return {.head = collection ? List(*target, request) : Read(*target)};
  if (method == "POST" && collection) return {.head = Create(*target, request)};
  if (method == "POST" || collection) return {.head = MethodNotAllowed()};
  if (method == "PUT") return {.head = Replace(*target, request)};
  if (method == "PATCH") return {.head = Patch(*target, request)};
  if (method == "DELETE" && target->subresource.empty()) return {.head = Delete(*target, request)};
  return {.head = MethodNotAllowed()};
}

http::Response Routes::Read(const Target& target) {
  return Say(store_.With([&](const Store& store) { return store.Get(target); }));
}

http::Response Routes::List(const Target& target, const http::Request& request) {
  auto selector = ParseSelector(request);
  if (!selector) return Say(selector.error());
  const auto limit = Number<std::size_t>(request, "limit", 0);
  if (!limit) return Say(limit.error());
  const ListQuery query{
      .selector = *std::move(selector), .limit = *limit, .next = request.Query("continue")};
  const auto page = store_.With([&](const Store& store) { return store.List(target, query); });
  if (!page) return Say(page.error());
  return {.body = ListJson(*target.resource, *page)};
}

http::StreamResponse Routes::Watch(const Target& target, const http::Request& request) {
  auto selector = ParseSelector(request);
  if (!selector) return {.head = Say(selector.error())};
  const auto from = Number<std::uint64_t>(request, "resourceVersion", 0);
  const auto seconds =
      Number<int>(request, "timeoutSeconds", static_cast<int>(kDefaultWatchTime.count()));
  if (!from) return {.head = Say(from.error())};
  if (!seconds) return {.head = Say(seconds.error())};
  const bool initial = Flag(request, "sendInitialEvents");
  WatchQuery query{.target = target,
                   .selector = *std::move(selector),
                   .from = initial ? 0 : *from,
                   .bookmarks = Flag(request, "allowWatchBookmarks"),
                   .initial_events_end = initial,
                   .time = std::chrono::seconds(*seconds),
                   .bookmark_interval = bookmark_interval_};
  const auto problem = store_.With([&](const Store& store) -> std::optional<http::Response> {
    if (query.from > store.version()) {
      return http::StatusResponse(504, "Too large resource version: " + std::to_string(query.from) +
                                           ", current: " + std::to_string(store.version()));
    }
    if (query.from > 0 && !store.Since(query.from)) {
      return http::StatusResponse(410, "too old resource version: " + std::to_string(query.from));
    }
    return std::nullopt;
  });
  if (problem) return {.head = *problem};
  return {.head = {}, .body = [this, query = std::move(query)](const http::ChunkSink& sink) {
            RunWatch(store_, query, sink);
          }};
}

http::Response Routes::Create(const Target& target, const http::Request& request) {
  if (target.resource->namespaced && target.ns.empty()) return MethodNotAllowed();
  auto object = ParseBody(request);
  if (!object) return Say(object.error());
  const std::string dry = request.Query("dryRun");
  if (!dry.empty() && dry != "All")
    return Say(Refusal{400, "BadRequest", "dryRun: Unsupported value: \"" + dry + "\""});
  AdmissionHook admission;
  {
    const std::lock_guard lock(mu_);
    admission = admission_;
  }
  if (admission) {
    const AdmissionRequest what{.operation = "CREATE",
                                .target = target,
                                .user = request.client_name,
                                .dry_run = !dry.empty()};
    if (const auto admitted = admission(what, *object); !admitted) return Say(admitted.error());
  }
  return Say(store_.With([&](Store& store) {
    return store.Create(target, *std::move(object), std::chrono::system_clock::now(), !dry.empty());
  }),
             201);
}

http::Response Routes::Bind(const Target& target, const http::Request& request) {
  const auto binding = ParseBody(request);
  if (!binding) return Say(binding.error());
  const auto bound = store_.With(
      [&](Store& store) { return store.Bind(target, *binding, std::chrono::system_clock::now()); });
  if (!bound) return Say(bound.error());
  http::Response answer = http::StatusResponse(200, "");
  answer.status = 201;
  return answer;
}

http::Response Routes::Replace(const Target& target, const http::Request& request) {
  auto object = ParseBody(request);
  if (!object) return Say(object.error());
  return Say(store_.With([&](Store& store) {
    return store.Update(target, [&](Document& present) -> Reply<void> {
      present = *std::move(object);
      return {};
    });
  }));
}

http::Response Routes::Patch(const Target& target, const http::Request& request) {
  const auto mutation = PatchMutation(request);
  if (!mutation) return Say(mutation.error());
  return Say(store_.With([&](Store& store) { return store.Update(target, *mutation); }));
}

http::Response Routes::Delete(const Target& target, const http::Request& request) {
  const auto options = ParseDeleteOptions(request);
  if (!options) return Say(options.error());
  const auto deleted = store_.With([&](Store& store) {
    return store.Delete(target, *options, std::chrono::system_clock::now());
  });
  return Say(deleted);
}

}  // namespace tessera::sim
