#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/mps/supervisor.h"
#include "agent/pod.h"
#include "common/contract/inventory.h"

/// What the MPS daemons and the rest of the agent tell each other. Pure.
namespace tessera::agent {

/// GPUs that pods of isolation mps, which have not ended, were given a part of.
std::set<std::string> GpusWithMpsPods(const std::vector<Pod>& pods);

/// Says of each GPU whether pods of isolation mps may come.
void MarkMps(const mps::State& state, contract::Inventory& inventory);

}  // namespace tessera::agent
