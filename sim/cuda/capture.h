#pragma once

#include <memory>
#include <thread>

#include "common/abi/cuda_more.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

/// A capture in progress: what is put into its streams becomes nodes of `graph`. Other streams join
/// it by waiting for an event that was recorded in it, and must be waited for before it ends.
/// Thread-safe where a graph is.
struct Capture {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::weak_ptr<Stream> origin;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id thread = std::this_thread::get_id();
  std::atomic<bool> invalidated{false};
};

/// The capture that a stream takes part in; null: none.
CapturePtr CaptureOf(const Stream& stream);
/// CUDA_SUCCESS where nothing is captured; else invalidates the capture and says that the call has
/// no place in it.
CUresult RefuseCapture(const Stream& stream);
/// The same for calls that may not be made while this thread's mode forbids it: those that may wait
/// for the device.
CUresult RefuseUnsafe();
/// The same for a context that is waited for as a whole.
CUresult RefuseCaptureIn(const ContextPtr& ctx);

/// Memory nodes, made by a capture or by hand.
CUresult AppendAlloc(Graph& graph, Device& device, std::size_t bytes, CUdeviceptr* ptr,
                     CUgraphNode* node);
CUresult AppendFree(Graph& graph, CUdeviceptr ptr, CUgraphNode* node);

/// cuStreamWaitEvent's part: a stream joins the recording's capture, or is joined to its own.
/// `handled` is false where neither is captured.
CUresult WaitCaptured(const StreamPtr& stream, const Recording& recording, bool& handled);

}  // namespace tessera::sim::cuda
