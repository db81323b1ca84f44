#include "interceptor/charge.h"

#include <atomic>

#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/graph_needs.h"
#include "interceptor/hot.h"
#include "interceptor/overhead.h"

namespace tessera {
namespace {

constinit Ledger arrays;
constinit Ledger handles;
constinit Ledger mappings;

/// Which limit a device ordinal has: kUnknown until it was asked, then DeviceIndex + kOffset.
constexpr int kUnknown = 0;
constexpr int kOffset = 2;
/// What IndexOf says of an ordinal that no GPU has.
constexpr session::DeviceIndex kNoOrdinal = -2;
constexpr std::size_t kCachedDevices = 64;

/// What was asked of the driver once: in one cache line for the first GPUs.
struct alignas(64) Known {
  std::atomic<int> device_count = 0;
  std::atomic<int> index_of[kCachedDevices] = {};
};
[[TESSERA_HOT]] constinit Known known;

bool AskUuid(CUdevice device, CUuuid& uuid) {
  return Real().cuDeviceGetUuid_v2(&uuid, device) == CUDA_SUCCESS ||
         Real().cuDeviceGetUuid(&uuid, device) == CUDA_SUCCESS;
}

/// Memory beyond a device's share lies in the host's and comes to the device page by page while
/// kernels run: not every device can do that.
bool FaultsPagesIn(CUdevice device) {
  int can = 0;
  return Real().cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, device) ==
             CUDA_SUCCESS &&
         can != 0;
}

/// Asks for what no cache tells.
[[gnu::cold, gnu::noinline]] session::DeviceIndex AskIndex(CUdevice device, bool cacheable) {
  CUuuid uuid;
  if (!AskUuid(device, uuid)) return kNoOrdinal;
  const session::DeviceIndex index = session::FindDevice(uuid);
  if (index != session::kNoDevice && !FaultsPagesIn(device)) session::RefuseHostMemory(index);
  if (cacheable) known.index_of[device].store(index + kOffset, std::memory_order_relaxed);
  return index;
}

[[gnu::always_inline]] inline session::DeviceIndex IndexOf(CUdevice device) {
  const auto ordinal = static_cast<std::size_t>(device);
  const bool cacheable = device >= 0 && ordinal < kCachedDevices;
  if (cacheable) {
    const int cached = known.index_of[ordinal].load(std::memory_order_relaxed);
    if (cached != kUnknown) return cached - kOffset;
  }
  return AskIndex(device, cacheable);
}

/// Where there is one device, no context can be of another, and one question less is asked. Devices
/// neither come nor go while a process lives.
bool IsOnlyDevice() {
  int count = known.device_count.load(std::memory_order_relaxed);
  if (count == 0 && Real().cuDeviceGetCount(&count) == CUDA_SUCCESS) {
    known.device_count.store(count, std::memory_order_relaxed);
  }
  return count == 1;
}

bool IsDefaultStream(CUstream stream) {
  return stream == nullptr || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD;
}

}  // namespace

namespace ledgers {
[[TESSERA_HOT]] constinit Ledger memory;
}  // namespace ledgers

Ledger& ArrayLedger() { return arrays; }
Ledger& HandleLedger() { return handles; }
Ledger& MappingLedger() { return mappings; }

void ForgetAllocationsAfterFork() {
  for (Ledger* ledger : {&ledgers::memory, &arrays, &handles, &mappings}) ledger->ForgetAfterFork();
  ForgetPoolsAfterFork();
  ForgetGraphsAfterFork();
  ForgetContextsAfterFork();
  ForgetContextCreationAfterFork();
  ForgetLimitSettingAfterFork();
  for (auto& index : known.index_of) index.store(kUnknown, std::memory_order_relaxed);
}

Place DevicePlace(CUdevice device) {
  if (!session::Ready()) return {.result = CUDA_ERROR_NOT_PERMITTED};
  const session::DeviceIndex index = IndexOf(device);
  if (index == kNoOrdinal) return {.result = CUDA_ERROR_INVALID_DEVICE};
  return {.device = index, .ordinal = device};
}

Place CurrentDevicePlace() {
  CUdevice device = 0;
  if (!IsOnlyDevice()) {
    const CUresult result = Real().cuCtxGetDevice(&device);
    if (result != CUDA_SUCCESS) return {.result = result};
  }
  return DevicePlace(device);
}

Place CurrentPlace() {
  if (!session::Ready()) [[unlikely]]
    return {.result = CUDA_ERROR_NOT_PERMITTED};
  CUcontext context = nullptr;
  CUdevice device = 0;
  const bool has_context = Real().cuCtxGetCurrent(&context) == CUDA_SUCCESS && context != nullptr;
  if (!has_context || !IsOnlyDevice()) {
    const CUresult result = Real().cuCtxGetDevice(&device);
    if (result != CUDA_SUCCESS) return {.result = result};
  }
  const session::DeviceIndex index = IndexOf(device);
  if (index == kNoOrdinal) [[unlikely]]
    return {.result = CUDA_ERROR_INVALID_DEVICE};
  return {.device = index, .ordinal = device, .context = HomeOf(context)};
}

Place StreamPlace(CUstream stream) {
  if (IsDefaultStream(stream) || !session::Ready()) return CurrentPlace();
  CUcontext current = nullptr;
  CUcontext owner = nullptr;
  Real().cuCtxGetCurrent(&current);
  const CUresult result = Real().cuStreamGetCtx(stream, &owner);
  if (result != CUDA_SUCCESS) return {.result = result};
  if (owner == current) return CurrentPlace();
  // A green context may be current to one thread alone.
  if (CUdevice ordinal = 0; IsGreen(owner, ordinal)) {
    Place place = DevicePlace(ordinal);
    place.context = HomeOf(owner);
    return place;
  }
  if (const CUresult pushed = Real().cuCtxPushCurrent_v2(owner); pushed != CUDA_SUCCESS) {
    return {.result = pushed};
  }
  const Place place = CurrentPlace();
  Real().cuCtxPopCurrent_v2(&owner);
  return place;
}

}  // namespace tessera
