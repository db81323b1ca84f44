#include "common/abi/cuda_more.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/pool.h"

using namespace tessera::sim::cuda;

namespace {

constexpr unsigned int kKnownFlags = 7;

CUresult Record(CUevent event_handle, CUstream stream_handle, bool per_thread) {
  const Current current;
  if (!current) return current.error();
  const EventPtr event = TheDriver().events.Find(event_handle);
  const StreamPtr stream = FindStream(current.ctx(), stream_handle, per_thread);
  if (event == nullptr || stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const ContextPtr owner = stream->ctx.lock();
  if (owner == nullptr || event->ctx.lock() != owner) return CUDA_ERROR_INVALID_HANDLE;
  auto recording = std::make_shared<Recording>();
  recording->engine = owner->device->engine.get();
  recording->capture = CaptureOf(*stream);
  recording->stream = stream;
  {
    // Before the submission: the queue may have come to it when Submit returns.
    const std::lock_guard lock(event->mu);
    event->recording = recording;
  }
  if (recording->capture != nullptr) return CUDA_SUCCESS;
  recording->number =
      SubmitTo(*owner, *stream,
               {.action = [recording](std::uint64_t end_ns, bool) { recording->end_ns = end_ns; }});
  return CUDA_SUCCESS;
}

/// An event and its latest recording; errors as the calls on events give them.
struct Seen {
  CUresult error = CUDA_SUCCESS;
  ContextPtr owner;
  unsigned int flags = 0;
  std::shared_ptr<Recording> recording;

  explicit Seen(CUevent handle) {
    error = Ready();
    if (error != CUDA_SUCCESS) return;
    const EventPtr event = TheDriver().events.Find(handle);
    if (event != nullptr) owner = event->ctx.lock();
    if (owner == nullptr) {
      error = CUDA_ERROR_INVALID_HANDLE;
      return;
    }
    error = static_cast<CUresult>(owner->fault->load());
    flags = event->flags;
    const std::lock_guard lock(event->mu);
    recording = event->recording;
    if (error == CUDA_SUCCESS && recording != nullptr && recording->capture != nullptr) {
      error = CUDA_ERROR_CAPTURED_EVENT;
    }
  }
  bool pending() const { return recording != nullptr && recording->end_ns == 0; }
};

CUresult Destroy(CUevent handle) {
  if (const CUresult error = Ready()) return error;
  // The event goes; the call tells the error of its context all the same.
  const EventPtr event = TheDriver().events.Take(handle);
  const ContextPtr owner = event == nullptr ? nullptr : event->ctx.lock();
  if (owner == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  return static_cast<CUresult>(owner->fault->load());
}

CUresult Elapsed(float* milliseconds, CUevent start_handle, CUevent end_handle) {
  const Seen start(start_handle);
  const Seen end(end_handle);
  if (start.error != CUDA_SUCCESS) return start.error;
  if (end.error != CUDA_SUCCESS) return end.error;
  if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (start.recording == nullptr || end.recording == nullptr ||
      ((start.flags | end.flags) & CU_EVENT_DISABLE_TIMING) != 0) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (start.pending() || end.pending()) return CUDA_ERROR_NOT_READY;
  const auto spent = static_cast<std::int64_t>(end.recording->end_ns - start.recording->end_ns);
  *milliseconds = static_cast<float>(static_cast<double>(spent) / 1e6);
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuEventCreate(CUevent* out, unsigned int flags) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || (flags & ~kKnownFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  auto event = std::make_shared<Event>();
  event->ctx = current.ctx();
  event->flags = flags;
  *out = reinterpret_cast<CUevent>(event.get());
  TheDriver().events.Add(std::move(event));
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) { return Destroy(event); }
CUresult cuEventDestroy_v2(CUevent event) { return Destroy(event); }

CUresult cuEventRecord(CUevent event, CUstream stream) { return Record(event, stream, false); }
CUresult cuEventRecord_ptsz(CUevent event, CUstream stream) { return Record(event, stream, true); }
CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int) {
  return Record(event, stream, false);
}
CUresult cuEventRecordWithFlags_ptsz(CUevent event, CUstream stream, unsigned int) {
  return Record(event, stream, true);
}

/// An event that was never recorded is complete.
CUresult cuEventQuery(CUevent event) {
  const Seen seen(event);
  if (seen.error != CUDA_SUCCESS) return seen.error;
  return seen.pending() ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event) {
  const Seen seen(event);
  if (seen.error != CUDA_SUCCESS || seen.recording == nullptr) return seen.error;
  seen.recording->engine->Wait(seen.recording->number);
  const CUresult result = static_cast<CUresult>(seen.owner->fault->load());
  if (result == CUDA_SUCCESS) TrimPools(*seen.owner->device);
  return result;
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return Elapsed(milliseconds, start, end);
}
CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return Elapsed(milliseconds, start, end);
}

}  // extern "C"
