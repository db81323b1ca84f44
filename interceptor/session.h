#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "common/abi/cuda.h"
#include "interceptor/law.h"
#include "interceptor/limits.h"

/// What the library knows of this process: its limits and its place in the container's region.
/// Starts at the first hooked call, starts again in a forked child. Every function may be called by
/// any thread.
namespace tessera::session {

/// Index into the limits; kNoDevice for a GPU that they do not name, whose limit is 0.
using DeviceIndex = int;
inline constexpr DeviceIndex kNoDevice = -1;

/// Where bytes are charged: to a device by its DeviceIndex, or to the host memory that stands in
/// for it.
using Account = int;
inline constexpr Account kNoAccount = -1;
constexpr Account HostAccountOf(DeviceIndex device) {
  return static_cast<Account>(region::HostAccountOf(static_cast<std::size_t>(device)));
}

namespace started {
enum State : int { kNotStarted, kReady, kRefused };
[[gnu::visibility("hidden")]] extern constinit std::atomic<int> state;
[[gnu::cold]] bool Start();
}  // namespace started

/// True if limits and region are there. If not, says why on stderr, once, and every later call is
/// false.
inline bool Ready() {
  return started::state.load(std::memory_order_acquire) == started::kReady || started::Start();
}

/// REQUIRES for all below: Ready().
DeviceIndex FindDevice(const CUuuid& uuid);
DeviceIndex FindDevice(const char* uuid_text);
std::size_t DeviceCount();

/// Whether the program hears of a refusal, which is counted then, or something else is tried first.
enum class Refusal { kFinal, kTentative };
/// The uuid's text, for NVML. REQUIRES: device != kNoDevice.
const char* UuidOf(DeviceIndex device);
/// What a context was seen to take on this device by any process of the container; 0: nobody knows.
std::uint64_t ContextBytes(DeviceIndex device);
/// The smallest figure counts.
void LearnContextBytes(DeviceIndex device, std::uint64_t bytes);

/// Has what a charge of the first GPU will touch brought near, which is most often the one meant.
/// Of no consequence otherwise. Does not require Ready().
[[gnu::hot]] void Prefetch();

/// Charges `bytes` on a device to this process, unless the container would get beyond its limit.
/// Before it refuses it has the driver give back what this process's pools do not use.
[[gnu::hot]] bool TryReserve(DeviceIndex device, std::uint64_t bytes,
                             Refusal refusal = Refusal::kFinal);
/// The same, refusing for good; but where the device's limit alone forbids it, charges host memory
/// if the container may use that. Says which account is charged; kNoAccount: refused.
[[gnu::hot]] Account TryReserveAnywhere(DeviceIndex device, std::uint64_t bytes);
/// Charges them whatever the limit: for what the driver has taken and does not give back.
void ChargeAnyway(DeviceIndex device, std::uint64_t bytes);
[[gnu::hot]] void Release(Account account, std::uint64_t bytes);

/// What a container sees of a GPU. Both 0 for kNoDevice.
struct Usage {
  std::uint64_t limit_bytes = 0;
  std::uint64_t used_bytes = 0;        ///< by all its processes
  std::uint64_t host_limit_bytes = 0;  ///< of host memory in place of the device's
  std::uint64_t host_used_bytes = 0;   ///< by all its processes; 0 where there is no limit
  std::uint64_t host_left_bytes() const {
    return host_limit_bytes -
           (host_used_bytes < host_limit_bytes ? host_used_bytes : host_limit_bytes);
  }
};
[[gnu::hot]] Usage UsageOf(DeviceIndex device);

/// The device cannot use host memory as its own: none of the container's processes gets any.
/// REQUIRES: device != kNoDevice.
void RefuseHostMemory(DeviceIndex device);

/// Is that one of the container's processes, as far as its pid here tells? `used_bytes` is what it
/// has of a device then, host memory in its place included; 0 for kNoDevice.
bool IsOurs(std::uint64_t pid, DeviceIndex device, std::uint64_t& used_bytes);

/// What holds launches on a device back now: the container's own share, and the agent's windows.
/// Without an agent a container keeps its share by itself, whatever its policy, but best-effort has
/// none. Looks at the limits file once in a second. REQUIRES from here on: device != kNoDevice.
Law LawOf(DeviceIndex device, std::uint64_t now_ns);
/// What this process wants of a device's time (region/grant.h).
void SetWaiting(DeviceIndex device, region::WaitsFor what);
void SetRunning(DeviceIndex device, bool on);
region::Pace& PaceOf(DeviceIndex device);
/// This process's launches on a device, and those of earlier owners of its slot.
std::uint64_t LaunchesOf(DeviceIndex device);

/// Adds one to this process's launches on a device. REQUIRES: Ready(), device != kNoDevice.
void CountLaunch(DeviceIndex device);
/// A word for the launches of one thread (region::Region::ThreadLaunches). Same requirements.
region::Word& ThreadLaunches(DeviceIndex device, std::size_t index);

}  // namespace tessera::session
