#include "extender/other_pods.h"

#include <memory>
#include <utility>

#include "common/contract/cpu.h"
#include "common/json/json.h"
#include "common/kube/object.h"
#include "extender/wire_objects.h"

namespace tessera::extender {
namespace {

using rapidjson::Value;

/// The same pod to OtherPods: what names it, its node, and its CPU as the pod's own request.
Value KeepForSums(const Value& pod, rapidjson::Document::AllocatorType& allocator) {
  const auto object = [] { return Value(rapidjson::kObjectType); };
  Value metadata = object();
  for (const char* name : {"namespace", "name", "uid"}) {
    const Value* value = json::FindPath(pod, {"metadata", name});
    if (value != nullptr) {
      metadata.AddMember(rapidjson::StringRef(name), Value(*value, allocator), allocator);
    }
  }
  Value requests = object();
  requests.AddMember(
      "cpu", json::String(std::to_string(contract::PodCpuMilli(pod)) + "m", allocator), allocator);
  Value resources = object();
  resources.AddMember("requests", requests, allocator);
  Value spec = object();
  spec.AddMember("nodeName", json::String(NodeNameOf(pod), allocator), allocator);
  spec.AddMember("resources", resources, allocator);
  Value kept = object();
  kept.AddMember("metadata", metadata, allocator);
  kept.AddMember("spec", spec, allocator);
  return kept;
}

}  // namespace

void OtherPods::Tell(Sums::value_type& node) {
  auto& [name, sum] = node;
  const std::int64_t rounded = (sum.cpu_milli + kStepMilli - 1) / kStepMilli * kStepMilli;
  if (rounded != sum.told) on_sum_(name, rounded);
  sum.told = rounded;
  if (sum.pods == 0) sums_.erase(std::string(name));
}

void OtherPods::Apply(const Value& pod) {
  const std::string uid(kube::Uid(pod));
  if (uid.empty()) return;
  const std::string node = NodeNameOf(pod);
  if (node.empty() || HasEnded(pod)) {
    Remove(uid);
    return;
  }
  const std::int64_t cpu_milli = contract::PodCpuMilli(pod);
  const auto known = pods_.find(uid);
  if (known != pods_.end() && known->second.node->first == node) {
    if (known->second.cpu_milli == cpu_milli) return;
    known->second.node->second.cpu_milli += cpu_milli - known->second.cpu_milli;
    known->second.cpu_milli = cpu_milli;
    Tell(*known->second.node);
    return;
  }
  Remove(uid);
  Sums::value_type& sum = *sums_.try_emplace(node).first;
  sum.second.cpu_milli += cpu_milli;
  ++sum.second.pods;
  pods_.emplace(uid, Pod{&sum, cpu_milli});
  Tell(sum);
}

void OtherPods::Remove(const std::string& uid) {
  const auto known = pods_.extract(uid);
  if (known.empty()) return;
  Sums::value_type& node = *known.mapped().node;
  node.second.cpu_milli -= known.mapped().cpu_milli;
  --node.second.pods;
  Tell(node);
}

kube::ReflectorHandlers OtherPodHandlers(Cache& cache) {
  const auto others =
      std::make_shared<OtherPods>([&cache](const std::string& node, std::int64_t cpu_milli) {
        cache.SetOtherCpu(node, cpu_milli);
      });
  return {.on_upsert = [others](const Value& pod) { others->Apply(pod); },
          .on_delete = [others](std::string_view,
                                std::string_view uid) { others->Remove(std::string(uid)); },
          .keep = KeepForSums};
}

}  // namespace tessera::extender
