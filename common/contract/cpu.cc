#include "common/contract/cpu.h"

#include <algorithm>
#include <string>

#include "binpack/types.h"
#include "common/contract/quantity.h"
#include "common/json/json.h"

namespace tessera::contract {
namespace {

using rapidjson::Value;

/// The "cpu" of the list of amounts at `path`; nothing if there is none that can be read.
std::optional<std::int64_t> CpuAt(const Value& object,
                                  std::initializer_list<std::string_view> path) {
  const Value* list = json::FindPath(object, path);
  const Value* amount = list == nullptr ? nullptr : json::Find(*list, "cpu");
  if (amount == nullptr || !(amount->IsString() || amount->IsNumber())) return std::nullopt;
  const auto milli =
      ParseMilli(amount->IsString() ? std::string(json::View(*amount)) : json::Dump(*amount));
  if (!milli) return std::nullopt;
  return std::min(*milli, binpack::kMaxCpuMilli);
}

std::int64_t ContainerCpu(const Value& container) {
  const auto requested = CpuAt(container, {"resources", "requests"});
  return requested ? *requested : CpuAt(container, {"resources", "limits"}).value_or(0);
}

template <typename Visit>
void ForEachContainer(const Value& pod, std::string_view list, Visit visit) {
  const Value* containers = json::FindPath(pod, {"spec", list});
  if (containers == nullptr || !containers->IsArray()) return;
  for (const Value& container : containers->GetArray()) visit(container);
}

std::int64_t OfContainers(const Value& pod) {
  std::int64_t sidecars = 0;
  std::int64_t init_peak = 0;
  ForEachContainer(pod, "initContainers", [&](const Value& container) {
    const Value* restart = json::Find(container, "restartPolicy");
    const std::int64_t cpu = ContainerCpu(container);
    if (restart != nullptr && restart->IsString() && json::View(*restart) == "Always") {
      sidecars += cpu;
    } else {
      init_peak = std::max(init_peak, sidecars + cpu);
    }
  });
  std::int64_t together = sidecars;
  ForEachContainer(pod, "containers",
                   [&](const Value& container) { together += ContainerCpu(container); });
  return std::max(together, init_peak);
}

}  // namespace

std::int64_t PodCpuMilli(const Value& pod) {
  const auto stated = CpuAt(pod, {"spec", "resources", "requests"});
  const std::int64_t cpu = stated ? *stated : OfContainers(pod);
  return std::min(cpu + CpuAt(pod, {"spec", "overhead"}).value_or(0), binpack::kMaxCpuMilli);
}

std::optional<std::int64_t> NodeCpuMilli(const Value& node) {
  return CpuAt(node, {"status", "allocatable"});
}

}  // namespace tessera::contract
