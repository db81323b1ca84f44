#include "interceptor/fork.h"

#include <pthread.h>

#include <atomic>

namespace tessera {
namespace {

constinit std::atomic<bool> watching = false;

/// The child has the parent's memory but not its allocations on the GPU, and another thread of the
/// parent may have held any of our locks. So nothing is locked and nothing is kept: the mapping and
/// the slot are dropped, the ledgers are empty, the gates have no threads, and the next hooked call
/// starts a session of the child's own.
void InChild() {
  session::ForgetAfterFork();
  ForgetAllocationsAfterFork();
  ForgetLaunchesAfterFork();
  ForgetAskedContextsAfterFork();
  ForgetGatesAfterFork();
  ForgetGateThreadsAfterFork();
}

}  // namespace

void WatchForks() {
  if (watching.exchange(true)) return;
  pthread_atfork(nullptr, nullptr, InChild);
}

}  // namespace tessera
