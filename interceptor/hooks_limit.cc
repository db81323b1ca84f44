#include <pthread.h>

#include <algorithm>

#include "common/abi/cuda.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/free_bytes.h"
#include "interceptor/overhead.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

// Stacks, the printf buffer and the heap of a context grow when the program sets their limits. What
// this process has more after it is charged to the context. Other threads and, where NVML does not
// list the process, other tenants allocate meanwhile: it is looked at twice, and the smaller of two
// figures counts.

namespace tessera {
namespace {

/// One limit is set at a time, so that it is the one that is measured.
constinit pthread_mutex_t setting = PTHREAD_MUTEX_INITIALIZER;

/// What this process has of the device, as NVML tells; where it does not list it, what the whole
/// device has less, up to a constant. Only differences mean anything.
std::uint64_t Taken(session::DeviceIndex device) {
  const DeviceBytes own = AskNvml(device);
  return own.of_process ? own.bytes : region::kMaxBytes - std::min(FreeBytes(), region::kMaxBytes);
}

/// By how much that has moved: risen if the limit grew, fallen if it shrank.
std::uint64_t Moved(bool grows, std::uint64_t before, std::uint64_t after) {
  return grows ? Less(after, before) : Less(before, after);
}

/// `set` asks the driver for a value.
template <typename Set>
CUresult SetMeasured(session::DeviceIndex device, std::size_t from, std::size_t to, const Set& set,
                     std::uint64_t& moved) {
  std::uint64_t before = Taken(device);
  CUresult result = set(to);
  if (result != CUDA_SUCCESS) return result;
  moved = Moved(to > from, before, Taken(device));
  if (moved == 0) return result;
  if (set(from) != CUDA_SUCCESS) return result;
  before = Taken(device);
  result = set(to);
  if (result == CUDA_SUCCESS) moved = std::min(moved, Moved(to > from, before, Taken(device)));
  return result;
}

/// Adds to, or takes from, what the context's limits are charged with. False: no memory for it.
bool Adjust(const Place& place, bool grows, std::uint64_t bytes) {
  Charge charge = MakeCharge(place, 0);
  Charge unused;
  ContextLedger().Take(LimitKey(place.context), charge);
  if (grows) {
    charge.bytes += bytes;
  } else {
    const std::uint64_t returned = std::min(bytes, charge.bytes);
    charge.bytes -= returned;
    session::Release(place.device, returned);
  }
  return charge.bytes == 0 || ContextLedger().Insert(LimitKey(place.context), charge, unused);
}

template <typename Set>
CUresult SetCharged(const Place& place, std::size_t from, std::size_t to, const Set& set) {
  std::uint64_t moved = 0;
  const CUresult result = SetMeasured(place.device, from, to, set, moved);
  if (result != CUDA_SUCCESS || moved == 0) return result;
  const bool grows = to > from;
  if (grows && !session::TryReserve(place.device, moved)) {
    set(from);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (Adjust(place, grows, moved)) return result;
  set(from);
  session::Release(place.device, moved);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

}  // namespace

void ForgetLimitSettingAfterFork() { setting = PTHREAD_MUTEX_INITIALIZER; }

}  // namespace tessera

using namespace tessera;

CUresult cuCtxSetLimit(CUlimit limit, std::size_t value) {
  const HookScope scope;
  const auto set = [&](std::size_t wanted) { return scope.real().cuCtxSetLimit(limit, wanted); };
  std::size_t from = 0;
  if (scope.nested() || !session::Ready()) return set(value);
  const Place place = CurrentPlace();
  if (place.result != CUDA_SUCCESS || place.device == session::kNoDevice ||
      Real().cuCtxGetLimit(&from, limit) != CUDA_SUCCESS || from == value) {
    return set(value);
  }
  const region::Lock lock(setting);
  return SetCharged(place, from, value, set);
}
