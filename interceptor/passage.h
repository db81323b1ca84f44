#pragma once

#include "interceptor/gate.h"
#include "interceptor/launches.h"
#include "interceptor/scope.h"

namespace tessera::gate {

/// A launch on its long way to the driver: waits until it may go, and is counted. Lives until the
/// driver has it, within a HookScope.
class Passage {
 public:
  Passage(const HookScope& scope, CUstream stream) {
    if (scope.nested()) return;
    device_ = launches::Device();
    if (device_ == session::kNoDevice) return;
    knocks_ = Enter(device_, stream);
    launches::Count(device_);
  }
  ~Passage() {
    if (knocks_) Leave(device_);
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

 private:
  session::DeviceIndex device_ = session::kNoDevice;
  bool knocks_ = false;
};

}  // namespace tessera::gate
