#pragma once

#include <map>

#include "agent/nvml_functions.h"

namespace tessera::agent {

/// The driver's Xid events of the hardware's own faults. A driver that has no events watches
/// nothing. One thread only; must end before nvmlShutdown.
class XidWatch {
 public:
  explicit XidWatch(const NvmlFunctions& functions);
  ~XidWatch();
  XidWatch(const XidWatch&) = delete;
  XidWatch& operator=(const XidWatch&) = delete;

  void Add(nvmlDevice_t device);
  /// Fetches what has happened; never waits.
  void Poll();
  /// The last fault of that GPU, once. 0: none.
  int Take(nvmlDevice_t device);

 private:
  const NvmlFunctions& f_;
  nvmlEventSet_t set_ = nullptr;
  std::map<nvmlDevice_t, int> xids_;
};

/// False for Xids that a program causes by its own faults; its GPU is as good as before.
bool IsHardwareFault(unsigned long long xid);

}  // namespace tessera::agent
