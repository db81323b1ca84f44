#include "interceptor/contexts.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>

#include "interceptor/driver.h"
#include "interceptor/fork.h"
#include "interceptor/region/lock.h"

namespace tessera {
namespace {

constexpr std::size_t kMostContexts = 64;

struct Entry {
  std::atomic<CUcontext> context = nullptr;
  std::atomic<session::DeviceIndex> device = session::kNoDevice;
};

constinit Entry entries[kMostContexts] = {};
/// Held while a context is asked, by whoever ends one, and by whoever begins a capture.
constinit pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
constinit std::atomic<int> captures = 0;
/// The program's threads that want the mutex: the gate's thread, which takes it again and again,
/// steps back for them.
constinit std::atomic<int> wanted = 0;

class ProgramsTurn {
 public:
  ProgramsTurn() {
    wanted.fetch_add(1);
    pthread_mutex_lock(&mutex);
    wanted.fetch_sub(1);
  }
  ~ProgramsTurn() { pthread_mutex_unlock(&mutex); }
  ProgramsTurn(const ProgramsTurn&) = delete;
  ProgramsTurn& operator=(const ProgramsTurn&) = delete;
};

bool IsNoted(CUcontext context) {
  for (const Entry& entry : entries) {
    if (entry.context.load(std::memory_order_relaxed) == context) return true;
  }
  return false;
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

void Note(session::DeviceIndex device) {
  CUcontext current = nullptr;
  if (DriverItself().cuCtxGetCurrent(&current) != CUDA_SUCCESS || current == nullptr) return;
  if (IsNoted(current)) return;
  const ProgramsTurn turn;
  if (IsNoted(current)) return;
  for (Entry& entry : entries) {
    if (entry.context.load(std::memory_order_relaxed) != nullptr) continue;
    entry.device.store(device, std::memory_order_relaxed);
    entry.context.store(current, std::memory_order_relaxed);
    return;
  }
}

bool Synchronize(session::DeviceIndex device) {
  while (wanted.load(std::memory_order_relaxed) != 0) sched_yield();
  const region::Lock lock(mutex);
  if (captures.load(std::memory_order_relaxed) > 0) return false;
  for (Entry& entry : entries) {
    const CUcontext context = entry.context.load(std::memory_order_relaxed);
    if (context == nullptr || entry.device.load(std::memory_order_relaxed) != device) continue;
    if (!Ask(context)) entry.context.store(nullptr, std::memory_order_relaxed);
  }
  return true;
}

void Forget() {
  const ProgramsTurn turn;
  for (Entry& entry : entries) entry.context.store(nullptr, std::memory_order_relaxed);
}

void BeginCapture() {
  const ProgramsTurn turn;
  captures.fetch_add(1);
}

bool Capturing() { return captures.load(std::memory_order_relaxed) > 0; }

void EndCapture() { captures.fetch_sub(1); }

}  // namespace contexts

void ForgetAskedContextsAfterFork() {
  mutex = PTHREAD_MUTEX_INITIALIZER;
  wanted.store(0, std::memory_order_relaxed);
  captures.store(0, std::memory_order_relaxed);
  for (Entry& entry : entries) entry.context.store(nullptr, std::memory_order_relaxed);
}

}  // namespace tessera
