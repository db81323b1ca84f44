#include "interceptor/contexts.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <atomic>

#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/glibc.h"
#include "interceptor/region/lock.h"

namespace tessera {
namespace {

constexpr std::size_t kMostContexts = 64;

struct Entry {
  std::atomic<CUcontext> context = nullptr;
  std::atomic<session::DeviceIndex> device = session::kNoDevice;
};

constinit Entry entries[kMostContexts] = {};
/// Guards changes of the entries; never held while the driver is asked.
constinit pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
constinit std::atomic<int> captures = 0;

/// Held while a device's contexts are asked, and by whoever ends one.
struct Asking {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  /// The program's threads that want the mutex: the gate's thread, which takes it again and again,
  /// steps back for them.
  std::atomic<int> wanted = 0;
};
constinit Asking asking[region::kMaxDevices] = {};

/// So long at most a capture waits to begin: as a launch does (gate.cc).
constexpr long kCapturePatienceNs = 200'000'000;

class ProgramsTurn {
 public:
  explicit ProgramsTurn(Asking& its) : asking_(its) {
    asking_.wanted.fetch_add(1);
    pthread_mutex_lock(&asking_.mutex);
    asking_.wanted.fetch_sub(1);
  }
  ~ProgramsTurn() { pthread_mutex_unlock(&asking_.mutex); }
  ProgramsTurn(const ProgramsTurn&) = delete;
  ProgramsTurn& operator=(const ProgramsTurn&) = delete;

 private:
  Asking& asking_;
};

Entry* Find(CUcontext context) {
  for (Entry& entry : entries) {
    if (entry.context.load(std::memory_order_acquire) == context) return &entry;
  }
  return nullptr;
}

void Insert(CUcontext context, session::DeviceIndex device) {
  const region::Lock lock(mutex);
  if (Find(context) != nullptr) return;
  Entry* const free = Find(nullptr);
  if (free == nullptr) return;
  free->device.store(device, std::memory_order_relaxed);
  free->context.store(context, std::memory_order_release);
}

void Remove(Entry& entry, CUcontext context) {
  const region::Lock lock(mutex);
  if (entry.context.load(std::memory_order_relaxed) == context) entry.context.store(nullptr);
}

bool Ask(CUcontext context) {
  const Driver& driver = DriverItself();
  if (driver.cuCtxPushCurrent_v2(context) != CUDA_SUCCESS) return false;
  const bool alive = driver.cuCtxSynchronize() == CUDA_SUCCESS;
  driver.cuCtxPopCurrent_v2(&context);
  return alive;
}

}  // namespace

namespace contexts {

CUcontext Note(session::DeviceIndex device) {
  CUcontext current = nullptr;
  if (DriverItself().cuCtxGetCurrent(&current) != CUDA_SUCCESS) return nullptr;
  if (current != nullptr && Find(current) == nullptr) Insert(current, device);
  return current;
}

bool Synchronize(session::DeviceIndex device) {
  Asking& mine = asking[device];
  while (mine.wanted.load(std::memory_order_relaxed) != 0) sched_yield();
  const region::Lock lock(mine.mutex);
  for (Entry& entry : entries) {
    // Who begins a capture does not wait for ever.
    if (captures.load() > 0) return false;
    CUcontext const context = entry.context.load(std::memory_order_acquire);
    if (context == nullptr || entry.device.load(std::memory_order_relaxed) != device) continue;
    if (!Ask(context)) Remove(entry, context);
  }
  return true;
}

session::DeviceIndex Forget(CUcontext context) {
  Entry* const entry = context == nullptr ? nullptr : Find(context);
  if (entry == nullptr) return session::kNoDevice;
  const session::DeviceIndex device = entry->device.load(std::memory_order_relaxed);
  const ProgramsTurn turn(asking[device]);
  Remove(*entry, context);
  return device;
}

void ForgetAll() {
  for (std::size_t i = 0; i < session::DeviceCount(); ++i) {
    const ProgramsTurn turn(asking[i]);
    for (Entry& entry : entries) {
      CUcontext const context = entry.context.load(std::memory_order_acquire);
      const bool its = entry.device.load(std::memory_order_relaxed) == static_cast<int>(i);
      if (context != nullptr && its) Remove(entry, context);
    }
  }
}

void Restore(CUcontext context, session::DeviceIndex device) {
  if (device != session::kNoDevice) Insert(context, device);
}

void BeginCapture() {
  captures.fetch_add(1);
  timespec until = {};
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += kCapturePatienceNs;
  if (until.tv_nsec >= 1'000'000'000) {
    until.tv_nsec -= 1'000'000'000;
    ++until.tv_sec;
  }
  for (std::size_t i = 0; i < session::DeviceCount(); ++i) {
    // Whoever comes after this one sees the capture.
    if (pthread_mutex_timedlock(&asking[i].mutex, &until) == 0) {
      pthread_mutex_unlock(&asking[i].mutex);
    }
  }
}

bool Capturing() { return captures.load(std::memory_order_relaxed) > 0; }

void EndCapture() { captures.fetch_sub(1); }

}  // namespace contexts

void ForgetAskedContextsAfterFork() {
  mutex = PTHREAD_MUTEX_INITIALIZER;
  for (Asking& one : asking) {
    one.mutex = PTHREAD_MUTEX_INITIALIZER;
    one.wanted.store(0, std::memory_order_relaxed);
  }
  captures.store(0, std::memory_order_relaxed);
  for (Entry& entry : entries) entry.context.store(nullptr, std::memory_order_relaxed);
}

}  // namespace tessera
