#pragma once

#include <cstdint>

#include "common/abi/cuda_more.h"
#include "interceptor/ledger.h"
#include "interceptor/session.h"

/// What the driver takes for itself: contexts.
namespace tessera {

/// Bytes that this process has on a device as NVML tells: its own figure, or where NVML does not
/// list it, those of the whole device. 0 without NVML. Opens NVML for the question.
struct DeviceBytes {
  std::uint64_t bytes = 0;
  bool of_process = false;
};
DeviceBytes AskNvml(session::DeviceIndex device);

/// Charges of contexts, by handle, returned once.
void PutContext(CUcontext context, const Charge& charge);
/// False if it is not charged.
bool TakeContext(CUcontext context, Charge& charge);

void ForgetContextsAfterFork();
void ForgetContextCreationAfterFork();

}  // namespace tessera
