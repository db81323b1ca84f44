#include "sim/scheduler/scheduler.h"

#include <utility>

#include "common/base/log.h"
#include "common/json/json.h"
#include "sim/object.h"
#include "sim/runner/pod_status.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

NodeView ViewOf(const Value& node) {
  NodeView view;
  view.name = TextAt(node, {"metadata", "name"});
  const Value* unschedulable = json::FindPath(node, {"spec", "unschedulable"});
  view.unschedulable = unschedulable != nullptr && unschedulable->IsTrue();
  view.capacity = NodeExtendedResources(node);
  const Value* labels = json::FindPath(node, {"metadata", "labels"});
  if (labels != nullptr && labels->IsObject()) {
    for (const auto& label : labels->GetObject()) {
      if (label.value.IsString())
        view.labels.emplace(json::View(label.name), json::View(label.value));
    }
  }
  return view;
}

bool HasEnded(const Value& pod) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

}  // namespace

std::string UnscheduledPatch(const Value& pod, const std::string& reason,
                             const std::string& message, const std::string& now) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("status");
  writer.StartObject();
  writer.Key("conditions");
  writer.StartArray();
  const Value* conditions = json::FindPath(pod, {"status", "conditions"});
  if (conditions != nullptr && conditions->IsArray()) {
    for (const Value& condition : conditions->GetArray()) {
      if (TextAt(condition, {"type"}) != "PodScheduled") {
        writer.Value(condition);
      } else if (TextAt(condition, {"message"}) == message &&
                 TextAt(condition, {"reason"}) == reason) {
        return "";
      }
    }
  }
  writer.StartObject();
  const std::pair<const char*, std::string> members[] = {{"type", "PodScheduled"},
                                                         {"status", "False"},
                                                         {"reason", reason},
                                                         {"message", message},
                                                         {"lastTransitionTime", now}};
  for (const auto& [key, value] : members) {
    writer.Key(key);
    writer.String(value);
  }
  writer.EndObject();
  writer.EndArray();
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

Scheduler::Scheduler(kube::Client& client, Extender& extender, SchedulerPolicy policy,
                     const Clock& clock, std::string scheduler_name)
    : client_(client),
      extender_(extender),
      policy_(std::move(policy)),
      clock_(clock),
      scheduler_name_(std::move(scheduler_name)),
      node_reflector_(client, "/api/v1/nodes",
                      kube::ReflectorHandlers{
                          [this](const Value& node) { OnNode(node); },
                          [this](std::string_view key, std::string_view) { OnNodeGone(key); },
                          [this] { OnSynced(nodes_synced_); }}),
      pod_reflector_(client, "/api/v1/pods",
                     kube::ReflectorHandlers{[this](const Value& pod) { OnPod(pod); },
                                             [this](std::string_view, std::string_view uid) {
                                               OnPodGone(std::string(uid));
                                             },
                                             [this] { OnSynced(pods_synced_); }}) {}

Scheduler::~Scheduler() { Stop(); }

void Scheduler::Start() {
  node_reflector_.Start();
  pod_reflector_.Start();
  decide_thread_ = std::jthread([this](const std::stop_token& stop) { DecideLoop(stop); });
  bind_thread_ = std::jthread([this](const std::stop_token& stop) { BindLoop(stop); });
}

void Scheduler::Stop() {
  for (std::jthread* thread : {&decide_thread_, &bind_thread_}) {
    if (!thread->joinable()) continue;
    thread->request_stop();
    thread->join();
  }
  node_reflector_.Stop();
  pod_reflector_.Stop();
}

/// REQUIRES: mu_ held.
void Scheduler::WakeLocked() {
  news_ = true;
  wake_decide_.notify_all();
}

void Scheduler::OnSynced(bool& which) {
  const std::lock_guard lock(mu_);
  which = true;
  WakeLocked();
}

void Scheduler::OnNode(const Value& node) {
  NodeView view = ViewOf(node);
  const std::lock_guard lock(mu_);
  nodes_[view.name] = std::move(view);
  queue_.OnClusterEvent();
  WakeLocked();
}

void Scheduler::OnNodeGone(std::string_view key) {
  const std::size_t slash = key.rfind('/');
  const std::lock_guard lock(mu_);
  nodes_.erase(std::string(slash == std::string_view::npos ? key : key.substr(slash + 1)));
}

void Scheduler::OnPod(const Value& pod) {
  const std::string uid = TextAt(pod, {"metadata", "uid"});
  const std::string node = TextAt(pod, {"spec", "nodeName"});
  if (HasEnded(pod)) return OnPodGone(uid);
  const bool ours = TextAt(pod, {"spec", "schedulerName"}) == scheduler_name_;
  auto copy = std::make_shared<rapidjson::Document>();
  if (node.empty() && ours) copy->CopyFrom(pod, copy->GetAllocator());
  const std::lock_guard lock(mu_);
  if (!node.empty()) {
    assigned_[uid] = {node, PodExtendedResources(pod)};
    pending_.erase(uid);
    queue_.Delete(uid);
    queue_.OnClusterEvent();
  } else if (ours && json::FindPath(pod, {"metadata", "deletionTimestamp"}) == nullptr) {
    pending_[uid] = std::move(copy);
    queue_.Add(uid);
  }
  WakeLocked();
}

void Scheduler::OnPodGone(const std::string& uid) {
  const std::lock_guard lock(mu_);
  pending_.erase(uid);
  queue_.Delete(uid);
  if (assigned_.erase(uid) > 0) queue_.OnClusterEvent();
  WakeLocked();
}

void Scheduler::DecideLoop(const std::stop_token& stop) {
  std::unique_lock lock(mu_);
  while (!stop.stop_requested()) {
    const bool synced = nodes_synced_ && pods_synced_;
    const auto pod = synced ? queue_.Pop(clock_.Now()) : std::nullopt;
    if (pod) {
      lock.unlock();
      DecideOne(*pod);
      lock.lock();
      continue;
    }
    const auto due = queue_.NextDue().value_or(clock_.Now() + std::chrono::seconds(1));
    wake_decide_.wait_until(lock, stop, due, [this] { return news_; });
    news_ = false;
  }
}

std::vector<NodeView> Scheduler::SnapshotLocked() const {
  std::map<std::string, NodeView> views = nodes_;
  for (const auto& [uid, assigned] : assigned_) {
    const auto node = views.find(assigned.node);
    if (node == views.end()) continue;
    for (const auto& [name, amount] : assigned.resources) node->second.used[name] += amount;
  }
  std::vector<NodeView> out;
  for (auto& [name, view] : views) out.push_back(std::move(view));
  return out;
}

void Scheduler::DecideOne(const std::string& uid) {
  Object pod;
  std::vector<NodeView> nodes;
  {
    const std::lock_guard lock(mu_);
    const auto found = pending_.find(uid);
    if (found == pending_.end()) return queue_.Delete(uid);
    pod = found->second;
    nodes = SnapshotLocked();
  }
  const Decision decision = Decide(*pod, nodes, extender_, policy_);
  switch (decision.kind) {
    case Decision::Kind::kUnschedulable:
      return Reject(pod, uid, SchedulingQueue::Why::kUnschedulable, decision.message);
    case Decision::Kind::kError:
      return Reject(pod, uid, SchedulingQueue::Why::kError, decision.message);
    case Decision::Kind::kNode:
      const std::lock_guard lock(mu_);
      if (!pending_.contains(uid)) return;
      assigned_[uid] = {decision.node, PodExtendedResources(*pod)};
      binds_.push_back({pod, uid, decision.node});
      wake_bind_.notify_all();
  }
}

void Scheduler::Reject(const Object& pod, const std::string& uid, SchedulingQueue::Why why,
                       const std::string& message) {
  {
    const std::lock_guard lock(mu_);
    queue_.Failed(uid, why, clock_.Now());
  }
  log::Info("pod not scheduled", {{"pod", KeyOf(*pod)}, {"reason", message}});
  const bool error = why == SchedulingQueue::Why::kError;
  const std::string patch = UnscheduledPatch(*pod, error ? "SchedulerError" : "Unschedulable",
                                             message, Rfc3339(clock_.WallNow()));
  if (patch.empty()) return;
  const auto written = client_.Patch(PodPath(*pod) + "/status", kube::PatchType::kMerge, patch);
  if (!written && written.error().code != Errc::kNotFound) {
    log::Warn("condition not written", {{"pod", KeyOf(*pod)}, {"reason", written.error().message}});
  }
}

void Scheduler::BindLoop(const std::stop_token& stop) {
  std::unique_lock lock(mu_);
  while (wake_bind_.wait(lock, stop, [this] { return !binds_.empty(); })) {
    const Bind bind = std::move(binds_.front());
    binds_.pop_front();
    lock.unlock();
    BindOne(bind);
    lock.lock();
  }
}

Result<void> Scheduler::CallBind(const Bind& bind) {
  const BindingArgs args{TextAt(*bind.pod, {"metadata", "name"}),
                         TextAt(*bind.pod, {"metadata", "namespace"}), bind.uid, bind.node};
  if (IsManaged(PodExtendedResources(*bind.pod), policy_)) return extender_.Bind(args);
  json::Writer writer;
  writer.StartObject();
  writer.Key("apiVersion");
  writer.String("v1");
  writer.Key("kind");
  writer.String("Binding");
  writer.Key("metadata");
  writer.StartObject();
  writer.Key("name");
  writer.String(args.name);
  writer.Key("uid");
  writer.String(args.uid);
  writer.EndObject();
  writer.Key("target");
  writer.StartObject();
  writer.Key("kind");
  writer.String("Node");
  writer.Key("name");
  writer.String(args.node);
  writer.EndObject();
  writer.EndObject();
  auto bound = client_.Post(PodPath(*bind.pod) + "/binding", writer.Take());
  if (!bound) return tl::make_unexpected(bound.error());
  return {};
}

void Scheduler::BindOne(const Bind& bind) {
  const auto bound = CallBind(bind);
  if (bound) {
    log::Info("pod bound", {{"pod", KeyOf(*bind.pod)}, {"node", bind.node}});
    return;
  }
  {
    const std::lock_guard lock(mu_);
    // The watch may have told meanwhile that it was bound after all.
    if (!pending_.contains(bind.uid)) return;
    assigned_.erase(bind.uid);
    queue_.OnClusterEvent();
  }
  Reject(bind.pod, bind.uid, SchedulingQueue::Why::kError, bound.error().message);
}

}  // namespace tessera::sim
