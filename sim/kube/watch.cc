#include "sim/kube/watch.h"

#include <algorithm>

#include "common/http/status.h"
#include "common/json/json.h"

namespace tessera::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How often a quiet watch looks whether its client is still there.
constexpr milliseconds kHeartbeat{50};

std::string Line(std::string_view type, const std::string& object) {
  return "{\"type\":\"" + std::string(type) + "\",\"object\":" + object + "}\n";
}

std::string Bookmark(const Resource& resource, std::uint64_t version, bool initial_events_end) {
  json::Writer out;
  out.StartObject();
  out.Key("kind");
  out.String(resource.kind);
  out.Key("apiVersion");
  out.String(resource.ApiVersion());
  out.Key("metadata");
  out.StartObject();
  out.Key("resourceVersion");
  out.String(std::to_string(version));
  out.Key("creationTimestamp");
  out.Null();
  if (initial_events_end) {
    out.Key("annotations");
    out.Raw(R"({"k8s.io/initial-events-end":"true"})");
  }
  out.EndObject();
  out.EndObject();
  return Line("BOOKMARK", out.Take());
}

std::string Expired() {
  return Line("ERROR", http::StatusResponse(410, "too old resource version").body);
}

bool Concerns(const Change& change, const Target& target) {
  return change.resource == target.resource &&
         (target.ns.empty() || change.last->ns == target.ns) &&
         (target.name.empty() || change.last->name == target.name);
}

std::string EventsOf(const std::vector<Change>& changes, const WatchQuery& query) {
  std::string text;
  for (const Change& change : changes) {
    if (!Concerns(change, query.target)) continue;
    const std::string_view type = EventType(change, query.selector);
    if (!type.empty()) text += Line(type, change.last->json);
  }
  return text;
}

/// The present objects as events; moves `version` to where they stand.
std::string Present(SharedStore& store, const WatchQuery& query, std::uint64_t& version) {
  std::string text;
  store.With([&](const Store& held) {
    const auto page = held.List(query.target, {.selector = query.selector});
    for (const ObjectPtr& object : page->items) text += Line("ADDED", object->json);
    version = page->version;
    return true;
  });
  if (query.initial_events_end) text += Bookmark(*query.target.resource, version, true);
  return text;
}

}  // namespace

void RunWatch(SharedStore& store, const WatchQuery& query, const http::ChunkSink& sink) {
  const auto known = store.epochs();
  const auto end = steady_clock::now() + query.time;
  auto next_bookmark = steady_clock::now() + query.bookmark_interval;
  std::uint64_t version = query.from;
  if (version == 0 && !sink(Present(store, query, version))) return;
  for (;;) {
    const auto changes = store.Await(version, known, kHeartbeat);
    const auto epochs = store.epochs();
    if (epochs.cut != known.cut) throw http::CutConnection{};
    if (!changes || epochs.expired != known.expired) {
      sink(Expired());
      return;
    }
    std::string text = EventsOf(*changes, query);
    if (!changes->empty()) version = changes->back().version;
    const auto now = steady_clock::now();
    const bool over = now >= end;
    if (query.bookmarks && (over || now >= next_bookmark)) {
      text += Bookmark(*query.target.resource, version, false);
      next_bookmark = now + query.bookmark_interval;
    }
    if (!sink(text) || over) return;
  }
}

}  // namespace tessera::sim
