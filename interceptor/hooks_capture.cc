#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"
#include "interceptor/contexts.h"
#include "interceptor/driver.h"
#include "interceptor/gate.h"
#include "interceptor/scope.h"

// The gate's thread must know when a stream is being captured: to ask its context whether work is
// over would spoil the capture.

namespace tessera {
namespace {

template <auto kFunction, typename... Args>
CUresult BeginCapture(Args... args) {
  const HookScope scope;
  if (scope.nested()) return (scope.real().*kFunction)(args...);
  contexts::BeginCapture();
  gate::EndLeases();
  const CUresult result = (scope.real().*kFunction)(args...);
  if (result != CUDA_SUCCESS) contexts::EndCapture();
  return result;
}

template <auto kFunction>
CUresult EndCapture(CUstream stream, CUgraph* graph, CUstream asked) {
  const HookScope scope;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  scope.real().cuStreamIsCapturing(asked, &status);
  const CUresult result = (scope.real().*kFunction)(stream, graph);
  // Whatever the answer, a capture that was there is over, unless it may not end here.
  const bool over = result != CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD &&
                    result != CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  if (!scope.nested() && status != CU_STREAM_CAPTURE_STATUS_NONE && over) contexts::EndCapture();
  return result;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuStreamBeginCapture(CUstream stream) {
  return BeginCapture<&Driver::cuStreamBeginCapture>(stream);
}
CUresult cuStreamBeginCapture_ptsz(CUstream stream) {
  return BeginCapture<&Driver::cuStreamBeginCapture_ptsz>(stream);
}
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return BeginCapture<&Driver::cuStreamBeginCapture_v2>(stream, mode);
}
CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode) {
  return BeginCapture<&Driver::cuStreamBeginCapture_v2_ptsz>(stream, mode);
}
CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph,
                                     const CUgraphNode* dependencies, const CUgraphEdgeData* edges,
                                     std::size_t count, CUstreamCaptureMode mode) {
  return BeginCapture<&Driver::cuStreamBeginCaptureToGraph>(stream, graph, dependencies, edges,
                                                            count, mode);
}
CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph,
                                          const CUgraphNode* dependencies,
                                          const CUgraphEdgeData* edges, std::size_t count,
                                          CUstreamCaptureMode mode) {
  return BeginCapture<&Driver::cuStreamBeginCaptureToGraph_ptsz>(stream, graph, dependencies, edges,
                                                                 count, mode);
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return EndCapture<&Driver::cuStreamEndCapture>(stream, graph, stream);
}
CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph* graph) {
  return EndCapture<&Driver::cuStreamEndCapture_ptsz>(
      stream, graph, stream == nullptr ? CU_STREAM_PER_THREAD : stream);
}
