#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/kube/client.h"

namespace tessera::kube {

/// What a reflector tells. Calls come one at a time, from the reflector's thread.
struct ReflectorHandlers {
  /// Added or changed. `object` is the whole object.
  std::function<void(const rapidjson::Value& object)> on_upsert = {};
  /// Deleted, told by the watch or found missing by a new list. The last known namespace/name and
  /// uid.
  std::function<void(std::string_view key, std::string_view uid)> on_delete = {};
  /// After each complete list; the first one means "synced".
  std::function<void()> on_synced = {};
  /// Before a list is asked for; on_synced follows unless it fails.
  std::function<void()> on_list = {};
  /// Asked whenever a watch has ended: true if a list is wanted rather than the next watch.
  std::function<bool()> wants_list = {};
  /// What on_upsert needs of a listed object besides its metadata's namespace, name and uid; empty:
  /// all of it. Watch events come whole.
  Keep keep = {};
};

/// The rules of a reflector without its loop: turns lists and watch events into handler calls.
/// Remembers only which uid each key has. One thread only.
class Collection {
 public:
  explicit Collection(ReflectorHandlers handlers) : handlers_(std::move(handlers)) {}

  /// A list is about to be asked for.
  void BeginList() {
    if (handlers_.on_list) handlers_.on_list();
  }
  const Keep& keep() const { return handlers_.keep; }
  bool wants_list() const { return handlers_.wants_list && handlers_.wants_list(); }
  /// A complete list: upserts for all, deletes for what is missing or was recreated.
  void Replace(const ListResult& list);
  /// An event of a watch that began at resource_version().
  void Apply(const WatchEvent& event);
  /// Where to watch from; empty before the first list.
  const std::string& resource_version() const { return resource_version_; }

 private:
  void Upsert(const rapidjson::Value& object);

  const ReflectorHandlers handlers_;
  std::unordered_map<std::string, std::string> uid_of_key_;
  std::string resource_version_;
};

}  // namespace tessera::kube
