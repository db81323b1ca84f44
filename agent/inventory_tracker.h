#pragma once

#include <string>
#include <vector>

#include "agent/nvml.h"
#include "common/contract/inventory.h"

namespace tessera::agent {

/// Turns readings into the node's inventory. Remembers each GPU that it has seen, so that one which
/// falls off the bus stays in the inventory, unhealthy and with a reason, until it answers again.
/// Pure but for that memory. One thread only.
class InventoryTracker {
 public:
  /// A reading that worked as a whole.
  contract::Inventory Update(const NvmlReading& reading);
  /// NVML does not answer: every GPU known is unhealthy for that reason.
  contract::Inventory UpdateUnavailable(const std::string& reason);

 private:
  contract::Inventory known_;
};

}  // namespace tessera::agent
