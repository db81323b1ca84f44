#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "common/kube/client.h"
#include "common/kube/collection.h"

namespace tessera::kube {

/// Keeps somebody's copy of a collection equal to the API server's: list, watch with bookmarks,
/// list again on 410, back-off with jitter on errors. A recreated object (same name, other uid) is
/// told as delete + upsert. Owns one thread from Start to Stop. Handlers must not call Stop.
///
///   list -> watch -> (ended, error: wait, watch from the last version) -> (410: list)
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

 private:
  void Run(const std::stop_token& stop);
  bool ListOnce();
  Result<void> WatchOnce(const std::stop_token& stop);

  Client& client_;
  const std::string path_;
  const RetryPolicy retry_;
  Collection collection_;  // reflector's thread only
  std::atomic<bool> synced_{false};
  std::jthread thread_;
};

}  // namespace tessera::kube
