#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "common/json/json.h"
#include "common/kube/client.h"
#include "common/kube/events.h"
#include "common/kube/token_bucket.h"
#include "extender/cache.h"
#include "extender/ranking.h"
#include "extender/verdict_cache.h"
#include "extender/wire.h"

namespace tessera::extender {

/// The pod, if kube-scheduler says that it is unschedulable without a reason of ours: some plugin
/// had refused all nodes before the extender was asked.
std::optional<WirePod> ReadUntold(const rapidjson::Value& pod);

/// Tells such pods which GPU resource is short, and by how much, in an event of our own; nothing
/// where the pod fits on some node. One event for a pod and a text, also with several replicas: its
/// name is made from both. At most kEventsPerSecond; what comes faster waits, and beyond
/// kMaxWaiting pods is forgotten. Thread-safe; owns one thread.
class PendingEvents {
 public:
  static constexpr double kEventsPerSecond = 5;
  static constexpr int kBurst = 25;
  static constexpr std::size_t kMaxWaiting = 1024;

  /// All must outlive this. `synced` says whether the cache has been filled; until then all wait.
  PendingEvents(kube::Client& client, const Clock& clock, Cache& cache, const Ranking& ranking,
                VerdictCache& verdicts, std::function<bool()> synced);
  void Start();
  /// Drops what waits; a write under way is waited for, and ended by Client::Shutdown. Twice is
  /// fine.
  void Stop();

  /// A pod of ReadUntold. Never waits.
  void Tell(WirePod pod);
  /// The pod is gone, bound, or told by the scheduler itself: what waits for it is dropped.
  void Drop(std::string_view uid);
  /// The event that the pod would get now.
  std::optional<kube::Event> EventFor(const WirePod& pod) const;

 private:
  void Run(const std::stop_token& stop);
  /// Waits for its turn; false at the end.
  bool Pace(const std::stop_token& stop);
  void Write(const kube::Event& event, const std::string& name);

  kube::Client& client_;
  const Clock& clock_;
  Cache& cache_;
  const Ranking& ranking_;
  VerdictCache& verdicts_;
  const std::function<bool()> synced_;
  kube::TokenBucket bucket_{kEventsPerSecond, kBurst};
  std::unordered_set<std::string> told_;  ///< names of events; our thread's
  std::mutex mu_;
  std::condition_variable_any wake_;
  std::deque<WirePod> waiting_ TESSERA_GUARDED_BY(mu_);  ///< each uid once
  std::jthread thread_;
};

}  // namespace tessera::extender
