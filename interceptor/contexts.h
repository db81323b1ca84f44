#pragma once

#include <cstdint>

#include "interceptor/session.h"

/// The contexts that launched something, so that the gate's thread can ask the driver whether their
/// work is over. A context is asked only while it is sure to live and no stream is being captured:
/// asking would end the capture. Any thread.
namespace tessera::contexts {

/// Remembers the thread's current context as one of `device`, and returns it; null: there is none.
CUcontext Note(session::DeviceIndex device);

/// False if nothing could be asked: a stream is being captured. Else everything that was launched
/// on `device` before the call has ended, or its context has failed. Blocks until then.
bool Synchronize(session::DeviceIndex device);

/// Before a context ends, or may end: waits while its device's contexts are asked, and forgets it.
/// A context that nobody has noted is not waited for. Says as what it was noted.
session::DeviceIndex Forget(CUcontext context);
/// The same with all there are: a primary context takes green ones along. They are noted again at
/// their next launch.
void ForgetAll();
/// It has not ended.
void Restore(CUcontext context, session::DeviceIndex device);

/// Around cuStreamBeginCapture: waits for a Synchronize that is going on, though not for ever,
/// since what it waits for may be waiting for the program; holds off the next. From the first
/// BeginCapture to the last EndCapture.
bool Capturing();
void BeginCapture();
void EndCapture();

}  // namespace tessera::contexts
