#include "interceptor/gate.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "common/abi/cuda_more.h"
#include "common/base/monotonic.h"
#include "interceptor/contexts.h"
#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/gate_state.h"

namespace tessera {
namespace gate {

constinit std::atomic<std::uint32_t> first_epoch = 1;

namespace {

constinit Gate gates[region::kMaxDevices] = {};
constinit std::atomic<std::uint32_t> more_epochs[region::kMaxDevices] = {};

/// A thread that has waited so long, while what is queued on the GPU got nowhere, goes on: that
/// work may be waiting for the very launch.
constexpr std::uint64_t kPatienceNs = 200'000'000;
/// A quarter of what is there for each who asks, so that threads share.
constexpr std::int64_t kPart = 4;

bool IsCapturing(CUstream stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult asked = DriverItself().cuStreamIsCapturing(stream, &status);
  return asked == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/// A null stream is the one or the other.
bool MayBeCapturing(CUstream stream) {
  if (stream != nullptr) return IsCapturing(stream);
  return IsCapturing(CU_STREAM_LEGACY) || IsCapturing(CU_STREAM_PER_THREAD);
}

/// Takes up to `most` launches out of the pool.
std::int64_t TakeFrom(std::atomic<std::int64_t>& pool, bool one) {
  std::int64_t there = pool.load();
  while (there > 0) {
    const std::int64_t take = one ? 1 : std::max<std::int64_t>(there / kPart, 1);
    if (pool.compare_exchange_weak(there, there - take)) return take;
  }
  return 0;
}

/// Has the gate's thread look what is wanted.
void Knock(Gate& gate) {
  gate.knocks.fetch_add(1);
  FutexWakeAll(gate.knocks);
}

/// One try to get through. kWait: not now.
enum class Way { kThrough, kThroughAndKnock, kWait };

Way TryEnter(Gate& gate, session::DeviceIndex device) {
  const std::uint32_t epoch = EpochOf(device).load();
  // After that, so that who forgets the context meanwhile ends the lease as well.
  CUcontext const context = contexts::Note(device);
  State state = gate.state.load();
  if (state == State::kOpen || ending.load()) {
    lane.lease = {epoch, device, INT64_MAX, context};
    return Way::kThrough;
  }
  const std::uint64_t now = NowNs();
  if (state == State::kResting && !session::LawOf(device, now).IsOpen(now)) return Way::kWait;
  if (state == State::kResting && gate.state.compare_exchange_strong(state, State::kBusy)) {
    gate.first_ns.store(now);
    gate.pool.fetch_sub(1);
    // The agent may have closed the gate before it could see that we run (region/grant.h).
    session::SetRunning(device, true);
    const std::uint64_t after = NowNs();
    if (session::LawOf(device, after).IsOpen(after)) return Way::kThroughAndKnock;
    Knock(gate);
    return Way::kWait;
  }
  if (state == State::kPaused) return Way::kWait;
  // Leased one by one: the next may be for another GPU, or be captured.
  const bool one = session::DeviceCount() > 1 || contexts::Capturing();
  const std::int64_t taken = TakeFrom(gate.pool, one);
  if (taken == 0) return Way::kWait;
  lane.lease = {epoch, device, taken - 1, context};
  return Way::kThrough;
}

/// False: the thread has waited long enough.
bool Wait(Gate& gate, std::uint32_t turn) {
  std::uint64_t none = 0;
  gate.waits_from_ns.compare_exchange_strong(none, NowNs());
  const std::uint64_t end = NowNs() + kPatienceNs;
  gate.waiting.fetch_add(1);
  if (gate.state.load() != State::kBusy) Knock(gate);
  while (gate.turn.load() == turn) {
    const std::uint64_t now = NowNs();
    if (now >= end) break;
    FutexWait(gate.turn, turn, end - now);
  }
  gate.waiting.fetch_sub(1);
  const bool stuck = gate.turn.load() == turn && gate.state.load() == State::kBusy;
  return !stuck;
}

}  // namespace

std::atomic<std::uint32_t>& EpochOf(session::DeviceIndex device) {
  return device == 0 ? first_epoch : more_epochs[device];
}
Gate& GateOf(session::DeviceIndex device) { return gates[device]; }

bool Enter(session::DeviceIndex device, CUstream stream) {
  Gate& gate = GateOf(device);
  Lease& mine = lane.lease;
  if (mine.device == device && mine.epoch == EpochOf(device).load() && mine.left > 0) {
    --mine.left;
    return false;
  }
  if (contexts::Capturing() && MayBeCapturing(stream)) {
    gate.captured.fetch_add(1);
    return false;
  }
  StartThread(device);
  while (true) {
    const std::uint32_t turn = gate.turn.load();
    const Way way = TryEnter(gate, device);
    if (way != Way::kWait) return way == Way::kThroughAndKnock;
    if (!Wait(gate, turn)) return false;
  }
}

void Leave(session::DeviceIndex device) { Knock(GateOf(device)); }

void EndLeases() {
  for (std::size_t i = 0; i < region::kMaxDevices; ++i) {
    EpochOf(static_cast<session::DeviceIndex>(i)).fetch_add(1);
  }
}

void EndLeaseOfOtherContext() {
  CUcontext current = nullptr;
  Lease& lease = lane.lease;
  if (lease.left <= 0) return;
  DriverItself().cuCtxGetCurrent(&current);
  if (current != lease.context) lease.left = 0;
}

void FutexWait(std::atomic<std::uint32_t>& word, std::uint32_t seen, std::uint64_t timeout_ns) {
  const timespec timeout = {static_cast<time_t>(timeout_ns / 1'000'000'000),
                            static_cast<long>(timeout_ns % 1'000'000'000)};
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, &timeout, nullptr, 0);
}

void FutexWakeAll(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace gate

void ForgetGatesAfterFork() {
  gate::EndLeases();
  for (gate::Gate& gate : gate::gates) {
    gate.state.store(gate::State::kPaused);
    gate.pool.store(0);
    gate.captured.store(0);
    gate.waiting.store(0);
    gate.waits_from_ns.store(0);
  }
}

}  // namespace tessera
