#include <algorithm>
#include <atomic>

#include "common/abi/cuda_more.h"
#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/graph_needs.h"
#include "interceptor/passage.h"
#include "interceptor/region/lock.h"
#include "interceptor/scope.h"

// Graphs with nodes that allocate, made by hand or by capturing a stream, take nothing while they
// are built. The driver takes what one needs from the device when it is first launched or uploaded,
// and keeps it until it is trimmed. A launch cannot be taken back, so such a graph is uploaded
// first; what that took is settled, or trimmed again and the launch refused.

namespace tessera {
namespace {

struct Stream {
  CUstream handle;
  decltype(&::cuGraphUpload) upload;
  decltype(&::cuStreamIsCapturing) is_capturing;
  decltype(&::cuStreamSynchronize) synchronize;
};

Stream Legacy(CUstream handle) {
  const Driver& real = Real();
  return {handle, real.cuGraphUpload, real.cuStreamIsCapturing, real.cuStreamSynchronize};
}
Stream PerThread(CUstream handle) {
  const Driver& real = Real();
  return {handle, real.cuGraphUpload_ptsz, real.cuStreamIsCapturing_ptsz,
          real.cuStreamSynchronize_ptsz};
}

bool IsCapturing(const Stream& stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return stream.is_capturing(stream.handle, &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/// Work that was queued counts as using the memory until it is done.
void GiveBack(PoolAccount& memory, const Stream& stream) {
  const RelaxedCapture relaxed;
  stream.synchronize(stream.handle);
  TrimGraphMemory(memory);
}

/// REQUIRES: memory.mutex is held.
CUresult UploadCharged(PoolAccount& memory, CUgraphExec exec, const Stream& stream,
                       std::uint64_t bytes) {
  for (const auto refusal : {session::Refusal::kTentative, session::Refusal::kFinal}) {
    const std::uint64_t charged = memory.charged.load(std::memory_order_relaxed);
    const std::uint64_t credit = bytes > charged ? bytes - charged : 0;
    if (credit != 0 && !session::TryReserve(memory.device, credit, refusal)) {
      if (refusal == session::Refusal::kFinal) return CUDA_ERROR_OUT_OF_MEMORY;
      GiveBack(memory, stream);
      continue;
    }
    const CUresult result = stream.upload(exec, stream.handle);
    if (result != CUDA_SUCCESS) {
      session::Release(memory.device, credit);
      // A graph that cannot be uploaded now may be launched all the same: one whose allocations
      // live.
      return result == CUDA_ERROR_OUT_OF_MEMORY ? result : CUDA_SUCCESS;
    }
    if (SettlePool(memory, credit, refusal) && SettleOtherGraphMemory(&memory)) return CUDA_SUCCESS;
    GiveBack(memory, stream);
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

/// Has the memory of a graph taken and charged, if it has any and it is not there already.
CUresult Prepare(CUgraphExec exec, const Stream& stream) {
  GraphUse use;
  if (!FindGraph(exec, use)) return CUDA_SUCCESS;
  if (use.uploaded_for == stream.handle && use.trims == GraphTrims()) return CUDA_SUCCESS;
  PoolAccount* const memory = GraphMemoryOf(use.ordinal);
  if (memory == nullptr || IsCapturing(stream)) return CUDA_SUCCESS;
  const region::Lock lock(memory->mutex);
  const CUresult result = UploadCharged(*memory, exec, stream, use.bytes);
  if (result == CUDA_SUCCESS) GraphUploaded(exec, use, stream.handle);
  return result;
}

/// What the launch took beyond that is charged, because it cannot be taken back.
CUresult Launched(CUgraphExec exec, CUresult result) {
  GraphUse use;
  if (result != CUDA_SUCCESS || !FindGraph(exec, use)) return result;
  PoolAccount* const memory = GraphMemoryOf(use.ordinal);
  if (memory == nullptr || !HasChanged(*memory)) return result;
  const region::Lock lock(memory->mutex);
  SettlePoolAnyway(*memory);
  return result;
}

bool Watched(const HookScope& scope) { return !scope.nested() && AnyGraphs() && session::Ready(); }

CUresult Instantiated(const HookScope& scope, const CUgraphExec* exec, CUgraph graph,
                      CUresult result) {
  if (!scope.nested() && result == CUDA_SUCCESS && session::Ready()) RememberGraph(*exec, graph);
  return result;
}

/// With the flag that uploads at once, the memory is there when the driver answers.
CUresult InstantiatedWithParams(const HookScope& scope, CUgraphExec* exec, CUgraph graph,
                                const CUDA_GRAPH_INSTANTIATE_PARAMS* params, CUresult result,
                                Stream (*flavour)(CUstream)) {
  Instantiated(scope, exec, graph, result);
  if (result != CUDA_SUCCESS || (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) == 0 ||
      !Watched(scope)) {
    return result;
  }
  const CUresult prepared = Prepare(*exec, flavour(params->hUploadStream));
  if (prepared != CUDA_SUCCESS) {
    ForgetGraph(*exec);
    scope.real().cuGraphExecDestroy(*exec);
  }
  return prepared;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode* failed, char* log,
                            std::size_t log_bytes) {
  const HookScope scope;
  return Instantiated(scope, exec, graph,
                      scope.real().cuGraphInstantiate(exec, graph, failed, log, log_bytes));
}

CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode* failed, char* log,
                               std::size_t log_bytes) {
  const HookScope scope;
  return Instantiated(scope, exec, graph,
                      scope.real().cuGraphInstantiate_v2(exec, graph, failed, log, log_bytes));
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  const HookScope scope;
  return Instantiated(scope, exec, graph,
                      scope.real().cuGraphInstantiateWithFlags(exec, graph, flags));
}

CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  const HookScope scope;
  const CUresult result = scope.real().cuGraphInstantiateWithParams(exec, graph, params);
  return InstantiatedWithParams(scope, exec, graph, params, result, Legacy);
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec* exec, CUgraph graph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  const HookScope scope;
  const CUresult result = scope.real().cuGraphInstantiateWithParams_ptsz(exec, graph, params);
  return InstantiatedWithParams(scope, exec, graph, params, result, PerThread);
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  const HookScope scope;
  if (Watched(scope)) ForgetGraph(exec);
  return scope.real().cuGraphExecDestroy(exec);
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream) {
  const HookScope scope;
  if (Watched(scope)) {
    if (const CUresult refused = Prepare(exec, Legacy(stream))) return refused;
  }
  return scope.real().cuGraphUpload(exec, stream);
}

CUresult cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream) {
  const HookScope scope;
  if (Watched(scope)) {
    if (const CUresult refused = Prepare(exec, PerThread(stream))) return refused;
  }
  return scope.real().cuGraphUpload_ptsz(exec, stream);
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  const HookScope scope;
  const gate::Passage passage(scope, stream);
  if (!Watched(scope)) return scope.real().cuGraphLaunch(exec, stream);
  if (const CUresult refused = Prepare(exec, Legacy(stream))) return refused;
  return Launched(exec, scope.real().cuGraphLaunch(exec, stream));
}

CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream) {
  const HookScope scope;
  const gate::Passage passage(scope, stream);
  if (!Watched(scope)) return scope.real().cuGraphLaunch_ptsz(exec, stream);
  if (const CUresult refused = Prepare(exec, PerThread(stream))) return refused;
  return Launched(exec, scope.real().cuGraphLaunch_ptsz(exec, stream));
}

CUresult cuDeviceGraphMemTrim(CUdevice device) {
  const HookScope scope;
  const CUresult result = scope.real().cuDeviceGraphMemTrim(device);
  if (result != CUDA_SUCCESS || !Watched(scope)) return result;
  GraphMemoryTrimmed();
  SettlePools();
  return result;
}
