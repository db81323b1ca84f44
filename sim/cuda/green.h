#pragma once

#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

/// A part of a device's multiprocessors with streams of its own. It holds the device's primary
/// context, to which everything belongs that is made while it is current.
struct GreenContext {
  Device* device = nullptr;
  ContextPtr ctx;  ///< what cuCtxFromGreenCtx gives
};

/// cuDevResourceGenerateDesc's.
struct ResourceDesc {
  Device* device = nullptr;
  unsigned int sms = 0;
};

}  // namespace tessera::sim::cuda
