#include "sim/cuda/capture.h"

#include <algorithm>

#include "sim/cuda/driver.h"

namespace tessera::sim::cuda {
namespace {

thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

CUresult Invalidate(Capture& capture) {
  capture.invalidated = true;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

void SetCapture(Stream& stream, const CapturePtr& capture) {
  const std::lock_guard lock(stream.mu);
  stream.capture = capture;
  stream.unjoined = false;
}

std::vector<CapturePtr> AllCaptures() {
  std::vector<CapturePtr> all;
  TheDriver().streams.ForEach([&](Stream& stream) {
    const CapturePtr capture = CaptureOf(stream);
    if (capture != nullptr && capture->origin.lock().get() == &stream) all.push_back(capture);
  });
  return all;
}

bool Forbids(const Capture& capture) {
  const bool ours = capture.thread == std::this_thread::get_id();
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  if (capture.mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  return ours || (capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
                  thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult Begin(CUstream handle, CUstreamCaptureMode mode, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (named.stream->legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (CaptureOf(*named.stream) != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  auto capture = std::make_shared<Capture>();
  capture->origin = named.stream;
  capture->mode = mode;
  SetCapture(*named.stream, capture);
  return CUDA_SUCCESS;
}

/// True if a stream that has joined has work which the origin does not wait for.
bool LetGo(const CapturePtr& capture) {
  bool unjoined = false;
  TheDriver().streams.ForEach([&](Stream& stream) {
    if (CaptureOf(stream) != capture) return;
    unjoined |= stream.unjoined;
    SetCapture(stream, nullptr);
  });
  return unjoined;
}

CUresult End(CUstream handle, CUgraph* out, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  const CapturePtr capture = CaptureOf(*named.stream);
  if (capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = nullptr;
  if (capture->origin.lock() != named.stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
      capture->thread != std::this_thread::get_id()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  const bool unjoined = LetGo(capture);
  SetCapture(*named.stream, nullptr);
  if (capture->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (unjoined) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  *out = reinterpret_cast<CUgraph>(capture->graph.get());
  TheDriver().graphs.Add(capture->graph);
  return CUDA_SUCCESS;
}

CUresult IsCapturing(CUstream handle, CUstreamCaptureStatus* status, bool per_thread) {
  const Target named(handle, per_thread);
  if (named.error != CUDA_SUCCESS) return named.error;
  if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CapturePtr capture = CaptureOf(*named.stream);
  *status = capture == nullptr     ? CU_STREAM_CAPTURE_STATUS_NONE
            : capture->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                   : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  return CUDA_SUCCESS;
}

}  // namespace

CapturePtr CaptureOf(const Stream& stream) {
  const std::lock_guard lock(stream.mu);
  return stream.capture;
}

CUresult RefuseCapture(const Stream& stream) {
  const CapturePtr capture = CaptureOf(stream);
  return capture == nullptr ? CUDA_SUCCESS : Invalidate(*capture);
}

CUresult RefuseUnsafe() {
  CUresult result = CUDA_SUCCESS;
  for (const CapturePtr& capture : AllCaptures()) {
    if (Forbids(*capture)) result = Invalidate(*capture);
  }
  return result;
}

CUresult RefuseCaptureIn(const ContextPtr& ctx) {
  CUresult result = CUDA_SUCCESS;
  for (const CapturePtr& capture : AllCaptures()) {
    const StreamPtr origin = capture->origin.lock();
    if (origin != nullptr && origin->ctx.lock() == ctx) result = Invalidate(*capture);
  }
  return result;
}

CUresult AppendAlloc(Graph& graph, Device& device, std::size_t bytes, CUdeviceptr* ptr,
                     CUgraphNode* node) {
  GraphBlockPtr block = MakeGraphBlock(device, bytes);
  if (block == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  *ptr = block->base;
  const CUgraphNode added =
      Append(graph, {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC, .block = std::move(block)});
  if (node != nullptr) *node = added;
  return CUDA_SUCCESS;
}

CUresult AppendFree(Graph& graph, CUdeviceptr ptr, CUgraphNode* node) {
  GraphBlockPtr block = FindGraphBlock(ptr);
  if (block == nullptr || block->is_freed_in_graph.exchange(true)) return CUDA_ERROR_INVALID_VALUE;
  const CUgraphNode added =
      Append(graph, {.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .block = std::move(block)});
  if (node != nullptr) *node = added;
  return CUDA_SUCCESS;
}

CUresult WaitCaptured(const StreamPtr& stream, const Recording& recording, bool& handled) {
  const CapturePtr mine = CaptureOf(*stream);
  handled = mine != nullptr || recording.capture != nullptr;
  if (!handled) return CUDA_SUCCESS;
  if (recording.capture == nullptr) {
    mine->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  if (mine == nullptr) {
    SetCapture(*stream, recording.capture);
    const std::lock_guard lock(stream->mu);
    stream->unjoined = true;
    return CUDA_SUCCESS;
  }
  if (mine != recording.capture) {
    mine->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (const StreamPtr from = recording.stream.lock()) {
    const std::lock_guard lock(from->mu);
    from->unjoined = false;
  }
  return CUDA_SUCCESS;
}

}  // namespace tessera::sim::cuda

using namespace tessera::sim::cuda;

extern "C" {

CUresult cuStreamBeginCapture(CUstream stream) {
  return cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}
CUresult cuStreamBeginCapture_ptsz(CUstream stream) {
  return cuStreamBeginCapture_v2_ptsz(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}
CUresult cuStreamBeginCaptureToGraph(CUstream, CUgraph, const CUgraphNode*, const CUgraphEdgeData*,
                                     std::size_t, CUstreamCaptureMode) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream, CUgraph, const CUgraphNode*,
                                          const CUgraphEdgeData*, std::size_t,
                                          CUstreamCaptureMode) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return Begin(stream, mode, false);
}
CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode) {
  return Begin(stream, mode, true);
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) { return End(stream, graph, false); }
CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph* graph) {
  return End(stream, graph, true);
}
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  return IsCapturing(stream, status, false);
}
CUresult cuStreamIsCapturing_ptsz(CUstream stream, CUstreamCaptureStatus* status) {
  return IsCapturing(stream, status, true);
}
CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  if (const CUresult error = Ready()) return error;
  if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::swap(thread_mode, *mode);
  return CUDA_SUCCESS;
}

}  // extern "C"
