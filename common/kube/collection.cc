#include "common/kube/collection.h"

#include <unordered_set>
#include <utility>

#include "common/kube/object.h"

namespace tessera::kube {

void Collection::Replace(const ListResult& list) {
  std::unordered_set<std::string> listed;
  for (const rapidjson::Value& object : list.items.GetArray()) listed.insert(Key(object));
  // Deletes first: what is gone may hold what the new ones need.
  for (auto known = uid_of_key_.begin(); known != uid_of_key_.end();) {
    if (listed.contains(known->first)) {
      ++known;
      continue;
    }
    const auto gone = uid_of_key_.extract(known++);
    if (handlers_.on_delete) handlers_.on_delete(gone.key(), gone.mapped());
  }
  for (const rapidjson::Value& object : list.items.GetArray()) Upsert(object);
  resource_version_ = list.resource_version;
  if (handlers_.on_synced) handlers_.on_synced();
}

void Collection::Apply(const WatchEvent& event) {
  if (event.type == "ADDED" || event.type == "MODIFIED") {
    Upsert(event.object);
  } else if (event.type == "DELETED") {
    const std::string key = Key(event.object);
    const auto known = uid_of_key_.find(key);
    // An event about an earlier object of this name says nothing about the present one.
    if (known != uid_of_key_.end() && known->second == Uid(event.object)) {
      const std::string uid = known->second;
      uid_of_key_.erase(known);
      if (handlers_.on_delete) handlers_.on_delete(key, uid);
    }
  }
  if (const auto version = ResourceVersion(event.object); !version.empty())
    resource_version_ = version;
}

void Collection::Upsert(const rapidjson::Value& object) {
  const std::string key = Key(object);
  const std::string_view uid = Uid(object);
  std::string& known = uid_of_key_[key];
  if (!known.empty() && known != uid && handlers_.on_delete) handlers_.on_delete(key, known);
  known = uid;
  if (handlers_.on_upsert) handlers_.on_upsert(object);
}

}  // namespace tessera::kube
