#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"

using namespace tessera::sim::cuda;

namespace {

constexpr unsigned int kKnownFlags = 0x3ff;

Device* Get(CUdevice ordinal, CUresult& error) {
  error = Ready();
  if (error != CUDA_SUCCESS) return nullptr;
  Device* device = FindDevice(ordinal);
  if (device == nullptr) error = CUDA_ERROR_INVALID_DEVICE;
  return device;
}

CUresult ReleasePrimary(CUdevice ordinal) {
  CUresult error{};
  Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  ContextPtr ended;
  {
    const std::lock_guard lock(device->mu);
    if (device->primary_refs == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--device->primary_refs == 0) ended = device->primary;
  }
  if (ended != nullptr) DestroyContext(ended);
  return CUDA_SUCCESS;
}

/// Ends the primary context whoever holds it.
CUresult ResetPrimary(CUdevice ordinal) {
  CUresult error{};
  Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  ContextPtr ended;
  {
    const std::lock_guard lock(device->mu);
    ended = device->primary;
    device->primary_refs = 0;
  }
  if (ended != nullptr) DestroyContext(ended);
  return CUDA_SUCCESS;
}

CUresult SetPrimaryFlags(CUdevice ordinal, unsigned int flags) {
  CUresult error{};
  Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if ((flags & ~kKnownFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(device->mu);
  device->primary_flags = flags;
  if (device->primary != nullptr) device->primary->flags = flags;
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice ordinal) {
  CUresult error{};
  Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (device->config.health == tessera::sim::gpu::Health::kLost) {
    return CUDA_ERROR_DEVICE_UNAVAILABLE;
  }
  const std::lock_guard lock(device->mu);
  if (device->primary == nullptr) {
    device->primary = MakeContext(*device, true, device->primary_flags, 3020, error);
  } else if (device->primary->destroyed) {
    error = Activate(*device->primary, device->primary_flags);
  }
  if (error != CUDA_SUCCESS) return error;
  ++device->primary_refs;
  *out = reinterpret_cast<CUcontext>(device->primary.get());
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) { return ReleasePrimary(device); }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { return ReleasePrimary(device); }
CUresult cuDevicePrimaryCtxReset(CUdevice device) { return ResetPrimary(device); }
CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) { return ResetPrimary(device); }
CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags) {
  return SetPrimaryFlags(device, flags);
}
CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags) {
  return SetPrimaryFlags(device, flags);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice ordinal, unsigned int* flags, int* active) {
  CUresult error{};
  Device* device = Get(ordinal, error);
  if (device == nullptr) return error;
  if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(device->mu);
  *flags = device->primary_flags;
  *active = device->primary != nullptr && !device->primary->destroyed ? 1 : 0;
  return CUDA_SUCCESS;
}

}  // extern "C"
