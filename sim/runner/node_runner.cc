#include "sim/runner/node_runner.h"

#include <thread>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

PodObject Copy(const Value& pod) {
  auto copy = std::make_shared<rapidjson::Document>();
  copy->CopyFrom(pod, copy->GetAllocator());
  return copy;
}

void WriteResources(json::Writer& writer, const char* key,
                    const std::map<std::string, std::string>& resources) {
  writer.Key(key);
  writer.StartObject();
  for (const auto& [name, amount] : resources) {
    writer.Key(name);
    writer.String(amount);
  }
  writer.EndObject();
}

}  // namespace

std::string NodeObject(const NodeSettings& settings) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("apiVersion");
  writer.String("v1");
  writer.Key("kind");
  writer.String("Node");
  writer.Key("metadata");
  writer.StartObject();
  writer.Key("name");
  writer.String(settings.name);
  writer.Key("labels");
  writer.StartObject();
  writer.Key("kubernetes.io/hostname");
  writer.String(settings.name);
  writer.EndObject();
  writer.EndObject();
  writer.Key("status");
  writer.StartObject();
  WriteResources(writer, "capacity", settings.capacity);
  WriteResources(writer, "allocatable", settings.capacity);
  writer.Key("conditions");
  writer.Raw(R"([{"type":"Ready","status":"True","reason":"KubeletReady"}])");
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

NodeRunner::NodeRunner(NodeSettings settings, kube::Client& client, const Clock& clock)
    : settings_(std::move(settings)),
      client_(client),
      clock_(clock),
      reflector_(client, "/api/v1/pods?fieldSelector=spec.nodeName%3D" + settings_.name,
                 kube::ReflectorHandlers{
                     [this](const Value& pod) { OnPod(pod); },
                     [this](std::string_view, std::string_view uid) { Forget(std::string(uid)); },
                     nullptr}) {}

NodeRunner::~NodeRunner() { Stop(); }

Result<void> NodeRunner::Register() {
  auto created = client_.Post("/api/v1/nodes", NodeObject(settings_));
  if (created || created.error().code == Errc::kConflict) return {};
  return Wrap(created.error(), "node " + settings_.name);
}

void NodeRunner::Start() { reflector_.Start(); }

void NodeRunner::Stop() {
  reflector_.Stop();
  // Each pod may take its grace period to end: all at the same time.
  std::vector<std::jthread> ending;
  for (auto& [uid, pod] : pods_) {
    ending.emplace_back([runner = std::move(pod)]() mutable { runner.reset(); });
  }
  ending.clear();
  pods_.clear();
}

void NodeRunner::OnPod(const Value& pod) {
  const std::string uid = TextAt(pod, {"metadata", "uid"});
  const auto known = pods_.find(uid);
  if (json::FindPath(pod, {"metadata", "deletionTimestamp"}) != nullptr) {
    Forget(uid);
    // The API server keeps a pod that is being deleted until its kubelet says that it is gone.
    const auto gone = client_.Delete(PodPath(pod) + "?gracePeriodSeconds=0");
    if (!gone && gone.error().code != Errc::kNotFound) {
      log::Warn("pod not removed", {{"uid", uid}, {"reason", gone.error().message}});
    }
  } else if (known != pods_.end()) {
    known->second->Update(Copy(pod));
  } else {
    const std::string phase = TextAt(pod, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") return;
    pods_[uid] = std::make_unique<PodRunner>(Copy(pod), settings_, client_, clock_);
  }
}

void NodeRunner::Forget(const std::string& uid) { pods_.erase(uid); }

}  // namespace tessera::sim
