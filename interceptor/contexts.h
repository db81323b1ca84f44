#pragma once

#include <cstdint>

#include "interceptor/session.h"

/// The contexts that launched something, so that the gate's thread can ask the driver whether their
/// work is over. A context is asked only while it is sure to live and no stream is being captured:
/// asking would end the capture. Any thread.
namespace tessera::contexts {

/// Remembers the thread's current context as one of `device`.
void Note(session::DeviceIndex device);

/// False if nothing could be asked: a stream is being captured. Else everything that was launched
/// on `device` before the call has ended, or its context has failed. Blocks until then.
bool Synchronize(session::DeviceIndex device);

/// Before a context ends, or may end: waits for a Synchronize that is going on, and forgets all of
/// them. Those that live are noted again at their next launch.
void Forget();

/// Around cuStreamBeginCapture: waits for a Synchronize that is going on, holds off the next.
/// From the first BeginCapture to the last EndCapture.
bool Capturing();
void BeginCapture();
void EndCapture();

}  // namespace tessera::contexts
