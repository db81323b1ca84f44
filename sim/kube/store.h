#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <rapidjson/document.h>

#include "sim/kube/object_rules.h"
#include "sim/kube/reply.h"
#include "sim/kube/resource.h"
#include "sim/kube/selector.h"

namespace tessera::sim {

/// One version of an object, never changed.
struct Object {
  std::string json;
  std::string ns;
  std::string name;
  std::string uid;
  std::uint64_t version = 0;
  Selector::Values labels;
  Selector::Values fields;  ///< the selectable ones that it has
};
using ObjectPtr = std::shared_ptr<const Object>;

/// A step of the store's history.
struct Change {
  std::uint64_t version = 0;
  const Resource* resource = nullptr;
  ObjectPtr before;  ///< null: created
  ObjectPtr after;   ///< null: deleted
  ObjectPtr
      last;  ///< what a watch shows: `after`, or the deleted object at the version of its deletion
};

/// What a watcher with this selector is told of a change: ADDED, MODIFIED, DELETED; empty: nothing.
std::string_view EventType(const Change& change, const Selector& selector);

struct ListPage {
  std::uint64_t version = 0;
  std::vector<ObjectPtr> items;
  std::string next;  ///< continue token; empty at the end
};

struct ListQuery {
  Selector selector;
  std::size_t limit = 0;  ///< 0: all
  std::string next = {};
};

struct DeleteOptions {
  std::string uid = {};               ///< precondition
  std::string resource_version = {};  ///< precondition
  std::optional<std::int64_t> grace_seconds = {};
};

/// The objects of a cluster and their recent history, in memory. Time and random names come from
/// outside. One thread at a time.
class Store {
 public:
  using Mutation = std::function<Reply<void>(rapidjson::Document& object)>;

  /// Watches may begin at most `history` changes back; older versions are gone (410).
  explicit Store(std::size_t history, std::function<std::string()> random_suffix,
                 std::function<std::string()> random_uid)
      : history_(history), suffix_(std::move(random_suffix)), uid_(std::move(random_uid)) {}

  /// `dry_run`: all checks, and the object as it would be, but nothing is kept.
  Reply<ObjectPtr> Create(const Target& target, rapidjson::Document object, WallTime now,
                          bool dry_run = false);
  Reply<ObjectPtr> Get(const Target& target) const;
  /// Pages show the state of their own moment; `version` stays that of the first page, so that a
  /// watch from it tells everything that happened between them.
  Reply<ListPage> List(const Target& target, const ListQuery& query) const;
  /// Read, change, check, write as one step. A change that changes nothing makes no new version.
  Reply<ObjectPtr> Update(const Target& target, const Mutation& mutation);
  Reply<ObjectPtr> Bind(const Target& target, const rapidjson::Value& binding, WallTime now);
  /// A pod on a node, or an object with finalizers, is only marked; the last object is returned in
  /// any case.
  Reply<ObjectPtr> Delete(const Target& target, const DeleteOptions& options, WallTime now);

  std::uint64_t version() const { return version_; }
  /// Changes after `version` in order; none if some of them are forgotten.
  std::optional<std::vector<Change>> Since(std::uint64_t version) const;
  /// Forgets the history: whoever is not at version() must list again.
  void Compact() { changes_.clear(); }

 private:
  using Objects = std::map<std::string, ObjectPtr>;  // "namespace/name"

  Objects& All(const Resource& resource);
  const Objects* Find(const Resource& resource) const;
  ObjectPtr Freeze(rapidjson::Document& object, std::uint64_t version) const;
  Reply<rapidjson::Document> Read(const Target& target) const;
  ObjectPtr Write(const Target& target, rapidjson::Document& object);
  ObjectPtr Remove(const Target& target);

  const std::size_t history_;
  const std::function<std::string()> suffix_;
  const std::function<std::string()> uid_;
  std::uint64_t version_ = 1;
  std::map<const Resource*, Objects> objects_;
  std::deque<Change> changes_;
};

/// 404 in the API server's words.
Refusal NotFound(const Target& target);

}  // namespace tessera::sim
