#pragma once

#include <chrono>
#include <map>
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
  using Time = std::chrono::steady_clock::time_point;
  /// A GPU with a hardware fault (Xid) is unhealthy for `xid_hold` after the last one.
  explicit InventoryTracker(std::chrono::seconds xid_hold = std::chrono::minutes(5))
      : xid_hold_(xid_hold) {}

  /// A reading that worked as a whole, made at `now`.
  contract::Inventory Update(const NvmlReading& reading, Time now);
  /// NVML does not answer: every GPU known is unhealthy for that reason.
  contract::Inventory UpdateUnavailable(const std::string& reason);
  /// True if the hold of some GPU ends by `now`: NVML should be opened anew, so that a fault which
  /// is still there is told again before the GPU is offered.
  bool HoldEnds(Time now) const;

 private:
  struct Fault {
    int xid = 0;
    Time until;
  };
  void NoteFaults(const NvmlReading& reading, Time now);

  const std::chrono::seconds xid_hold_;
  contract::Inventory known_;
  std::map<std::string, Fault> faults_;  ///< by uuid
};

}  // namespace tessera::agent
