#include "agent/mps_view.h"

namespace tessera::agent {

static_assert(mps::kMaxClients == binpack::kMaxMpsClients);

std::set<std::string> GpusWithMpsPods(const std::vector<Pod>& pods) {
  std::set<std::string> uuids;
  for (const Pod& pod : pods) {
    if (pod.finished || !pod.assignment) continue;
    if (pod.assignment->isolation != binpack::Isolation::kMps) continue;
    for (const auto& container : pod.assignment->placement.containers) {
      for (const auto& share : container.devices) uuids.insert(share.uuid);
    }
  }
  return uuids;
}

void MarkMps(const mps::State& state, contract::Inventory& inventory) {
  for (auto& gpu : inventory.gpus) {
    const auto known = state.gpus.find(gpu.uuid);
    gpu.mps = state.available && known != state.gpus.end() && known->second.offered;
  }
}

}  // namespace tessera::agent
