#pragma once

namespace tessera {

/// Registers the handler that makes a forked child start anew; once for a process and its
/// descendants. Everything that a child must drop is listed in fork.cc.
void WatchForks();

namespace session {
void ForgetAfterFork();
}
void ForgetAllocationsAfterFork();
void ForgetLaunchesAfterFork();
void ForgetAskedContextsAfterFork();
void ForgetGatesAfterFork();
void ForgetGateThreadsAfterFork();

}  // namespace tessera
