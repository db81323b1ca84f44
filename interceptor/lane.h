#pragma once

#include <cstdint>

#include "common/abi/cuda.h"
#include "interceptor/region/layout.h"
#include "interceptor/session.h"

namespace tessera {

/// How many launches the gate lets this thread through with; void as soon as the gate has another
/// epoch.
struct Lease {
  std::uint32_t epoch = 0;
  session::DeviceIndex device = session::kNoDevice;
  std::int64_t left = 0;
  CUcontext context = nullptr;  ///< that is known to have launches; a lease is for no other
};

/// All that a launch the short way has of its thread, in one cache line: after a real driver's work
/// nothing of ours is near, and each line costs.
struct alignas(64) Lane {
  /// Where the thread counts if nothing needs to be asked: the container has one GPU, no other tool
  /// stands between us and the driver, the thread has its word. Null otherwise.
  region::Word* count = nullptr;
  Lease lease;
};
inline constinit thread_local Lane lane;

}  // namespace tessera
