#include "common/abi/cuda_more.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/pool.h"

using namespace tessera::sim::cuda;

namespace {

CUresult Create(CUstream* out, unsigned int flags, int priority) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
  auto stream = std::make_shared<Stream>();
  stream->ctx = current.ctx();
  stream->flags = flags;
  stream->priority = std::min(0, std::max(-5, priority));
  stream->id = TheDriver().next_stream_id++;
  *out = reinterpret_cast<CUstream>(stream.get());
  TheDriver().streams.Add(std::move(stream));
  return CUDA_SUCCESS;
}

/// What is queued on it still runs, as on the real one.
CUresult Destroy(CUstream handle) {
  const Current current;
  if (!current) return current.error();
  if (handle == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  return TheDriver().streams.Take(handle) != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult Query(CUstream handle, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  if (const CUresult error = RefuseCapture(*named.stream)) return error;
  const bool done = named.owner->device->engine->IsDone(LastOf(*named.owner, *named.stream));
  if (const int fault = named.owner->fault->load()) return static_cast<CUresult>(fault);
  return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult Synchronize(CUstream handle, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  if (const CUresult error = RefuseCapture(*named.stream)) return error;
  const CUresult result = WaitFor(*named.owner, LastOf(*named.owner, *named.stream));
  if (result == CUDA_SUCCESS) TrimPools(*named.owner->device);
  return result;
}

/// One queue per device runs in order of submission, so that within a device there is nothing to
/// wait for; across devices the queue waits.
CUresult WaitEvent(CUstream handle, CUevent event_handle, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  const EventPtr event = TheDriver().events.Find(event_handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  std::shared_ptr<Recording> recording;
  {
    const std::lock_guard lock(event->mu);
    recording = event->recording;
  }
  if (recording != nullptr) {
    bool handled = false;
    const CUresult result = WaitCaptured(named.stream, *recording, handled);
    if (handled) return result;
  }
  if (recording == nullptr || recording->engine == named.owner->device->engine.get()) {
    return CUDA_SUCCESS;
  }
  SubmitTo(*named.owner, *named.stream, {.action = [recording](std::uint64_t, bool) {
    recording->engine->Wait(recording->number);
  }});
  return CUDA_SUCCESS;
}

CUresult LaunchHost(CUstream handle, CUhostFn function, void* user_data, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  SubmitTo(*named.owner, *named.stream,
           {.action =
                [function, user_data](std::uint64_t, bool skipped) {
                  if (!skipped) function(user_data);
                }},
           CU_GRAPH_NODE_TYPE_HOST);
  return CUDA_SUCCESS;
}

/// Unlike a host function, a callback is also called, with the error, after the context has failed.
CUresult AddCallback(CUstream handle, CUstreamCallback callback, void* user_data,
                     unsigned int flags, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  if (callback == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  SubmitTo(
      *named.owner, *named.stream,
      {.action = [handle, callback, user_data, fault = named.owner->fault](std::uint64_t, bool) {
        callback(handle, static_cast<CUresult>(fault->load()), user_data);
      }});
  return CUDA_SUCCESS;
}

template <typename Value, typename From>
CUresult Ask(CUstream handle, bool per_thread, Value* value, From from) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *value = from(named);
  return CUDA_SUCCESS;
}

unsigned int FlagsOf(const Target& named) { return named.stream->flags; }
int PriorityOf(const Target& named) { return named.stream->priority; }
unsigned long long IdOf(const Target& named) { return named.stream->id; }
CUcontext ContextOf(const Target& named) { return reinterpret_cast<CUcontext>(named.owner.get()); }

}  // namespace

extern "C" {

CUresult cuStreamCreate(CUstream* stream, unsigned int flags) { return Create(stream, flags, 0); }
CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int flags, int priority) {
  return Create(stream, flags, priority);
}
CUresult cuStreamDestroy(CUstream stream) { return Destroy(stream); }
CUresult cuStreamDestroy_v2(CUstream stream) { return Destroy(stream); }

CUresult cuStreamQuery(CUstream stream) { return Query(stream, false); }
CUresult cuStreamQuery_ptsz(CUstream stream) { return Query(stream, true); }
CUresult cuStreamSynchronize(CUstream stream) { return Synchronize(stream, false); }
CUresult cuStreamSynchronize_ptsz(CUstream stream) { return Synchronize(stream, true); }
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int) {
  return WaitEvent(stream, event, false);
}
CUresult cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned int) {
  return WaitEvent(stream, event, true);
}

CUresult cuStreamGetFlags(CUstream stream, unsigned int* flags) {
  return Ask(stream, false, flags, FlagsOf);
}
CUresult cuStreamGetFlags_ptsz(CUstream stream, unsigned int* flags) {
  return Ask(stream, true, flags, FlagsOf);
}
CUresult cuStreamGetPriority(CUstream stream, int* priority) {
  return Ask(stream, false, priority, PriorityOf);
}
CUresult cuStreamGetPriority_ptsz(CUstream stream, int* priority) {
  return Ask(stream, true, priority, PriorityOf);
}
CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
  return Ask(stream, false, id, IdOf);
}
CUresult cuStreamGetId_ptsz(CUstream stream, unsigned long long* id) {
  return Ask(stream, true, id, IdOf);
}
CUresult cuStreamGetCtx(CUstream stream, CUcontext* ctx) {
  return Ask(stream, false, ctx, ContextOf);
}
CUresult cuStreamGetCtx_ptsz(CUstream stream, CUcontext* ctx) {
  return Ask(stream, true, ctx, ContextOf);
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* user_data,
                             unsigned int flags) {
  return AddCallback(stream, callback, user_data, flags, false);
}
CUresult cuStreamAddCallback_ptsz(CUstream stream, CUstreamCallback callback, void* user_data,
                                  unsigned int flags) {
  return AddCallback(stream, callback, user_data, flags, true);
}
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* user_data) {
  return Journal("cuLaunchHostFunc", {}, LaunchHost(stream, function, user_data, false));
}
CUresult cuLaunchHostFunc_ptsz(CUstream stream, CUhostFn function, void* user_data) {
  return Journal("cuLaunchHostFunc_ptsz", {}, LaunchHost(stream, function, user_data, true));
}

}  // extern "C"
