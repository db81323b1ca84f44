#include "common/kube/events.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "common/base/log.h"
#include "common/json/json.h"
#include "common/kube/micro_time.h"
#include "common/kube/random.h"

namespace tessera::kube {
namespace {

constexpr std::size_t kMaxNote = 1024;

std::string NamespaceOf(const Event& event) {
  return event.regarding.ns.empty() ? "default" : event.regarding.ns;
}

/// The object's name and something that no other event has.
std::string EventName(const Event& event) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string name = event.regarding.name.substr(0, 200) + ".";
  for (int i = 0; i < 16; ++i) name += kHex[static_cast<std::size_t>(RandomUnit() * 16)];
  return name;
}

/// FNV-1a: the same in every build and process.
std::uint64_t Hash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// At most `limit` bytes, not in the middle of a UTF-8 character.
std::string_view Cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return text.substr(0, limit);
}

}  // namespace

std::string EventJson(const Event& event, std::string_view name, std::string_view controller,
                      std::string_view instance, std::chrono::system_clock::time_point now) {
  json::Writer out;
  const auto text = [&](std::string_view key, std::string_view value) {
    out.Key(key);
    out.String(value);
  };
  out.StartObject();
  text("apiVersion", "events.k8s.io/v1");
  text("kind", "Event");
  out.Key("metadata");
  out.StartObject();
  text("name", name);
  text("namespace", NamespaceOf(event));
  out.EndObject();
  text("eventTime", MicroTime(now));
  text("reportingController", controller);
  text("reportingInstance", instance);
  text("type", event.warning ? "Warning" : "Normal");
  text("reason", event.reason);
  text("action", event.action);
  text("note", Cut(event.note, kMaxNote));
  out.Key("regarding");
  out.StartObject();
  text("apiVersion", event.regarding.api_version);
  text("kind", event.regarding.kind);
  text("name", event.regarding.name);
  if (!event.regarding.ns.empty()) text("namespace", event.regarding.ns);
  if (!event.regarding.uid.empty()) text("uid", event.regarding.uid);
  out.EndObject();
  out.EndObject();
  return out.Take();
}

std::string StableEventName(const Event& event) {
  std::string name = event.regarding.name.substr(0, 200);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  std::array<char, 20> hash{};
  std::snprintf(hash.data(), hash.size(), ".%016llx",
                static_cast<unsigned long long>(
                    Hash(event.regarding.uid + "/" + event.reason + "/" + event.note)));
  return name + hash.data();
}

EventRecorder::EventRecorder(Client& client, const Clock& clock, std::string controller,
                             std::string instance)
    : client_(client),
      clock_(clock),
      controller_(std::move(controller)),
      instance_(std::move(instance)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

EventRecorder::~EventRecorder() {
  thread_.request_stop();
  thread_.join();
}

bool EventRecorder::SeenLately(const Event& event) {
  const auto now = clock_.Now();
  std::erase_if(recorded_, [&](const auto& entry) { return now - entry.second >= kDedupTime; });
  const std::string key = event.regarding.kind + "/" + event.regarding.ns + "/" +
                          event.regarding.name + "/" + event.regarding.uid + "/" + event.reason +
                          "/" + event.note;
  return !recorded_.emplace(key, now).second;
}

bool EventRecorder::Record(Event event) {
  const std::lock_guard lock(mu_);
  if (waiting_.size() >= kMaxWaiting || SeenLately(event)) return false;
  waiting_.push_back(std::move(event));
  wake_.notify_one();
  return true;
}

void EventRecorder::Run(const std::stop_token& stop) {
  std::unique_lock lock(mu_);
  while (wake_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    const Event event = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const auto sent =
        client_.Post("/apis/events.k8s.io/v1/namespaces/" + NamespaceOf(event) + "/events",
                     EventJson(event, EventName(event), controller_, instance_, clock_.WallNow()));
    if (!sent) {
      log::Warn("event not recorded", {{"reason", event.reason}, {"error", sent.error().message}});
    }
    lock.lock();
    if (stop.stop_requested()) return;
  }
}

}  // namespace tessera::kube
