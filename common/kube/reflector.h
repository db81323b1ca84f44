#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "common/kube/client.h"

namespace tessera::kube {

/// What a reflector tells. Calls come one at a time, from the reflector's thread.
struct ReflectorHandlers {
  /// Added or changed. `object` is the whole object.
  std::function<void(const rapidjson::Value& object)> on_upsert;
  /// Deleted, told by the watch or found missing by a new list. The last known namespace/name and uid.
  std::function<void(std::string_view key, std::string_view uid)> on_delete;
  /// After each complete list; the first one means "synced".
  std::function<void()> on_synced;
};

/// Keeps somebody's copy of a collection equal to the API server's: list, watch with bookmarks, list again on
/// 410, back-off with jitter on errors. A recreated object (same name, other uid) is told as delete + upsert.
/// Owns one thread from Start to Stop. Handlers must not call Stop.
class Reflector {
 public:
  /// `path` as in Client::List. `client` must outlive the reflector.
  Reflector(Client& client, std::string path, ReflectorHandlers handlers);
  ~Reflector();  ///< stops
  void Start();
  void Stop();
  bool synced() const { return synced_.load(); }

 private:
  void Run(const std::stop_token& stop);
  Result<std::string> ListOnce();
  Result<void> WatchFrom(std::string& resource_version, const std::stop_token& stop);
  void Upsert(const rapidjson::Value& object);

  Client& client_;
  const std::string path_;
  const ReflectorHandlers handlers_;
  std::unordered_map<std::string, std::string> uid_of_key_;  ///< reflector's thread only
  std::atomic<bool> synced_{false};
  std::jthread thread_;
};

}  // namespace tessera::kube
