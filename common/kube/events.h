#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "common/kube/client.h"

namespace tessera::kube {

/// What an event is about.
struct ObjectReference {
  std::string api_version = "v1";
  std::string kind;
  std::string ns = {};  ///< empty for cluster-wide objects, whose events go to "default"
  std::string name;
  std::string uid = {};
};

struct Event {
  ObjectReference regarding;
  bool warning = false;
  std::string reason;  ///< CamelCase, from a fixed set: "Scheduled"
  std::string action;  ///< what was done or tried: "Binding"
  std::string note;    ///< for people; cut to 1 kB
};

/// The body of POST …/events for events.k8s.io/v1. `name` is the event's own.
std::string EventJson(const Event& event, std::string_view name, std::string_view controller,
                      std::string_view instance, std::chrono::system_clock::time_point now);

/// The same for the same object, reason and note, whoever asks: a second replica's create meets a
/// conflict.
std::string StableEventName(const Event& event);

/// Writes events from a thread of its own. Thread-safe.
class EventRecorder {
 public:
  static constexpr std::chrono::minutes kDedupTime{1};
  static constexpr std::size_t kMaxWaiting = 256;

  /// `instance` is the pod's or host's name. `client` and `clock` must outlive the recorder.
  EventRecorder(Client& client, const Clock& clock, std::string controller, std::string instance);
  /// Drops what has not been sent; waits for the one that is being sent (Client::Shutdown ends it).
  ~EventRecorder();

  /// Never waits. False if the event was not taken: the same one (object, reason, note) was
  /// recorded less than a minute ago, or too many are waiting.
  bool Record(Event event);

 private:
  void Run(const std::stop_token& stop);
  bool SeenLately(const Event& event);

  Client& client_;
  const Clock& clock_;
  const std::string controller_;
  const std::string instance_;
  std::mutex mu_;
  std::condition_variable_any wake_;
  std::deque<Event> waiting_ TESSERA_GUARDED_BY(mu_);
  std::map<std::string, std::chrono::steady_clock::time_point> recorded_ TESSERA_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace tessera::kube
