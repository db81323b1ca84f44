#include "sim/kube/store.h"

#include <charconv>
#include <utility>

#include "common/json/json.h"
#include "sim/kube/binding.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Document;
using rapidjson::Value;

std::string KeyIn(const Target& target) { return target.ns + "/" + target.name; }

Target WithName(Target target, const std::string& name) {
  target.name = name;
  return target;
}

std::string FieldText(const Value& value) {
  if (value.IsString()) return std::string(json::View(value));
  return value.IsBool() || value.IsNumber() ? json::Dump(value) : std::string();
}

Selector::Values FieldsOf(const Value& object) {
  Selector::Values fields;
  for (const std::string& path : SelectableFields()) {
    const Value* at = &object;
    for (std::size_t begin = 0; at != nullptr && begin <= path.size();) {
      const std::size_t end = std::min(path.find('.', begin), path.size());
      at = json::Find(*at, std::string_view(path).substr(begin, end - begin));
      begin = end + 1;
    }
    if (at != nullptr) fields.emplace(path, FieldText(*at));
  }
  return fields;
}

Selector::Values LabelsOf(const Value& object) {
  Selector::Values labels;
  const Value* map = json::FindPath(object, {"metadata", "labels"});
  if (map == nullptr || !map->IsObject()) return labels;
  for (const auto& [key, value] : map->GetObject()) {
    labels.emplace(std::string(json::View(key)), FieldText(value));
  }
  return labels;
}

bool HasFinalizers(const Value& object) {
  const Value* list = json::FindPath(object, {"metadata", "finalizers"});
  return list != nullptr && list->IsArray() && !list->Empty();
}

/// A pod that a kubelet may be running: only that kubelet's delete with no grace removes it.
bool IsRunningPod(const Target& target, const Value& object) {
  if (target.resource->plural != "pods" || TextAt(object, {"spec", "nodeName"}).empty())
    return false;
  const std::string phase = TextAt(object, {"status", "phase"});
  return phase != "Succeeded" && phase != "Failed";
}

void SetGracePeriod(Document& object, std::int64_t seconds) {
  RemoveMetadata(object, "deletionGracePeriodSeconds");
  object.FindMember("metadata")
      ->value.AddMember("deletionGracePeriodSeconds", Value(seconds), object.GetAllocator());
}

std::string EncodeContinue(std::uint64_t version, const std::string& key) {
  return std::to_string(version) + ":" + key;
}

std::optional<std::pair<std::uint64_t, std::string>> DecodeContinue(const std::string& token) {
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), version);
  if (error != std::errc{} || end == token.data() + token.size() || *end != ':')
    return std::nullopt;
  return std::pair(version, std::string(end + 1, token.data() + token.size()));
}

}  // namespace

Refusal NotFound(const Target& target) {
  const std::string group(target.resource->group);
  return {404, "NotFound",
          std::string(target.resource->plural) + (group.empty() ? "" : "." + group) + " \"" +
              target.name + "\" not found"};
}

std::string_view EventType(const Change& change, const Selector& selector) {
  const bool before =
      change.before && selector.Matches(change.before->labels, change.before->fields);
  const bool after = change.after && selector.Matches(change.after->labels, change.after->fields);
  if (after) return before ? "MODIFIED" : "ADDED";
  return before ? "DELETED" : "";
}

Store::Objects& Store::All(const Resource& resource) { return objects_[&resource]; }

const Store::Objects* Store::Find(const Resource& resource) const {
  const auto found = objects_.find(&resource);
  return found == objects_.end() ? nullptr : &found->second;
}

ObjectPtr Store::Freeze(Document& object, std::uint64_t version) const {
  SetMetadata(object, "resourceVersion", std::to_string(version));
  Object frozen{.json = json::Dump(object),
                .ns = TextAt(object, {"metadata", "namespace"}),
                .name = TextAt(object, {"metadata", "name"}),
                .uid = TextAt(object, {"metadata", "uid"}),
                .version = version,
                .labels = LabelsOf(object),
                .fields = FieldsOf(object)};
  return std::make_shared<const Object>(std::move(frozen));
}

ObjectPtr Store::Write(const Target& target, Document& object) {
  ObjectPtr& slot = All(*target.resource)[KeyIn(target)];
  ObjectPtr written = Freeze(object, ++version_);
  changes_.push_back({version_, target.resource, std::exchange(slot, written), written, written});
  if (changes_.size() > history_) changes_.pop_front();
  return written;
}

ObjectPtr Store::Remove(const Target& target) {
  Objects& all = All(*target.resource);
  const auto found = all.find(KeyIn(target));
  const ObjectPtr before = found->second;
  all.erase(found);
  Document last = json::Parse(before->json).value();
  ObjectPtr shown = Freeze(last, ++version_);
  changes_.push_back({version_, target.resource, before, nullptr, shown});
  if (changes_.size() > history_) changes_.pop_front();
  return shown;
}

Reply<Document> Store::Read(const Target& target) const {
  const auto found = Get(target);
  if (!found) return tl::unexpected(found.error());
  return json::Parse((*found)->json).value();
}

Reply<ObjectPtr> Store::Create(const Target& target, Document object, WallTime now, bool dry_run) {
  if (const auto good = PrepareCreate(target, object, suffix_()); !good)
    return tl::unexpected(good.error());
  const Target named = WithName(target, TextAt(object, {"metadata", "name"}));
  if (target.resource->namespaced) {
    const Target home{.resource = FindResource("", "v1", "namespaces"),
                      .ns = {},
                      .name = target.ns,
                      .subresource = {}};
    if (const auto exists = Get(home); !exists) return exists;
  }
  if (Get(named)) {
    return Refuse(409, "AlreadyExists",
                  std::string(target.resource->plural) + " \"" + named.name + "\" already exists");
  }
  SetMetadata(object, "uid", uid_());
  SetMetadata(object, "creationTimestamp", Timestamp(now));
  return dry_run ? Freeze(object, version_) : Write(named, object);
}

Reply<ObjectPtr> Store::Get(const Target& target) const {
  const Objects* all = Find(*target.resource);
  if (all != nullptr) {
    if (const auto found = all->find(KeyIn(target)); found != all->end()) return found->second;
  }
  return tl::unexpected(NotFound(target));
}

Reply<ListPage> Store::List(const Target& target, const ListQuery& query) const {
  ListPage page{.version = version_, .items = {}, .next = {}};
  std::string after;
  if (!query.next.empty()) {
    const auto token = DecodeContinue(query.next);
    if (!token) return Refuse(400, "BadRequest", "continue key is not valid");
    if (!Since(token->first)) {
      return Refuse(
          410, "Expired",
          "The provided continue parameter is too old to display a consistent list result.");
    }
    page.version = token->first;
    after = token->second;
  }
  const Objects* all = Find(*target.resource);
  if (all == nullptr) return page;
  for (auto each = all->upper_bound(after); each != all->end(); ++each) {
    const ObjectPtr& object = each->second;
    if (!target.ns.empty() && object->ns != target.ns) continue;
    if (!query.selector.Matches(object->labels, object->fields)) continue;
    if (query.limit > 0 && page.items.size() == query.limit) {
      page.next =
          EncodeContinue(page.version, page.items.back()->ns + "/" + page.items.back()->name);
      break;
    }
    page.items.push_back(object);
  }
  return page;
}

Reply<ObjectPtr> Store::Update(const Target& target, const Mutation& mutation) {
  auto old = Read(target);
  if (!old) return tl::unexpected(old.error());
  Document object;
  object.CopyFrom(*old, object.GetAllocator());
  if (const auto done = mutation(object); !done) return tl::unexpected(done.error());
  if (const auto good = PrepareUpdate(target, *old, object); !good)
    return tl::unexpected(good.error());
  if (*old == object) return Get(target);
  const bool doomed = json::FindPath(object, {"metadata", "deletionTimestamp"}) != nullptr;
  if (doomed && HasFinalizers(*old) && !HasFinalizers(object) && !IsRunningPod(target, object)) {
    Write(target, object);
    return Remove(target);
  }
  return Write(target, object);
}

Reply<ObjectPtr> Store::Bind(const Target& target, const Value& binding, WallTime now) {
  auto pod = Read(target);
  if (!pod) return tl::unexpected(pod.error());
  if (const auto bound = ApplyBinding(*pod, binding, now); !bound)
    return tl::unexpected(bound.error());
  return Write(target, *pod);
}

Reply<ObjectPtr> Store::Delete(const Target& target, const DeleteOptions& options, WallTime now) {
  auto object = Read(target);
  if (!object) return tl::unexpected(object.error());
  for (const auto& [field, wanted] :
       {std::pair<const char*, const std::string&>{"uid", options.uid},
        {"resourceVersion", options.resource_version}}) {
    const std::string has = TextAt(*object, {"metadata", field});
    if (!wanted.empty() && wanted != has) {
      return Refuse(409, "Conflict",
                    "Precondition failed: " + std::string(field) + " in precondition: " + wanted +
                        ", in object meta: " + has);
    }
  }
  const bool wait_for_kubelet =
      IsRunningPod(target, *object) && options.grace_seconds.value_or(30) > 0;
  if (!wait_for_kubelet && !HasFinalizers(*object)) return Remove(target);
  if (json::FindPath(*object, {"metadata", "deletionTimestamp"}) != nullptr) return Get(target);
  const std::int64_t grace = wait_for_kubelet ? options.grace_seconds.value_or(30) : 0;
  SetMetadata(*object, "deletionTimestamp", Timestamp(now + std::chrono::seconds(grace)));
  SetGracePeriod(*object, grace);
  return Write(target, *object);
}

std::optional<std::vector<Change>> Store::Since(std::uint64_t version) const {
  if (version == version_) return std::vector<Change>();
  // Each change has its own version: the first one kept must be the next.
  if (version > version_ || changes_.empty() || changes_.front().version > version + 1)
    return std::nullopt;
  const auto begin =
      changes_.begin() + static_cast<std::ptrdiff_t>(version + 1 - changes_.front().version);
  return std::vector<Change>(begin, changes_.end());
}

}  // namespace tessera::sim
