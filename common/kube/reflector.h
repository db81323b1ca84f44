#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/base/thread_annotations.h"
#include "common/kube/client.h"
#include "common/kube/collection.h"

namespace tessera::kube {

/// Keeps somebody's copy of a collection equal to the API server's: list, watch with bookmarks,
/// list again on 410, back-off with jitter on errors. A recreated object (same name, other uid) is
/// told as delete + upsert. Owns one thread from Start to Stop. Handlers must not call Stop.
///
///   list -> watch -> (ended, error: wait, watch from the last version) -> (410, RequestList: list)
class Reflector {
 public:
  /// `path` as in Client::List. `client` must outlive the reflector. `retry` paces lists and
  /// watches.
  Reflector(Client& client, std::string path, ReflectorHandlers handlers,
            const RetryPolicy& retry = {.base = std::chrono::milliseconds(200),
                                        .max = std::chrono::seconds(30)});
  ~Reflector();  ///< stops
  void Start();
  /// Waits for a running list, which Client::Shutdown ends; a watch ends at once. Twice is fine.
  void Stop();
  bool synced() const { return synced_.load(); }
  /// Asks for a list that begins from now on, whatever the watch has told, and returns its ticket.
  /// Lists go on until one succeeds. Thread-safe, as is the next.
  std::uint64_t RequestList();
  /// Waits until that list has been told to the handlers. False: not within `limit`.
  bool AwaitList(std::uint64_t ticket, std::chrono::milliseconds limit);

 private:
  void Run(const std::stop_token& stop);
  bool ListOnce();
  /// True if a list was asked for that has not been told yet.
  bool IsListAwaited() const;
  /// What RequestList ends: a watch, or a wait.
  std::stop_source NewRound();
  Result<void> WatchOnce(const std::stop_token& stop);

  Client& client_;
  const std::string path_;
  const RetryPolicy retry_;
  Collection collection_;  // reflector's thread only
  std::atomic<bool> synced_{false};
  mutable std::mutex mu_;
  std::condition_variable told_;
  std::uint64_t requested_ TESSERA_GUARDED_BY(mu_) = 0;  ///< the last ticket
  std::uint64_t listed_ TESSERA_GUARDED_BY(mu_) = 0;     ///< the last that was answered
  std::stop_source round_ TESSERA_GUARDED_BY(mu_);
  std::jthread thread_;
};

}  // namespace tessera::kube
