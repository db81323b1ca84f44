#include "common/abi/cuda_more.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/journal.h"

using namespace tessera::sim::cuda;

namespace {

CUresult LaunchGraph(CUgraphExec handle, CUstream stream, bool per_thread) {
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  const auto exec = TheDriver().graph_execs.Find(handle);
  if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (CaptureOf(*target.stream) != nullptr && HasMemory(exec->nodes)) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  if (exec->frees_on_launch) FreeOnLaunch(exec->nodes);
  if (const CUresult error = ReserveForGraph(exec->nodes)) return error;
  RunMemoryNodes(exec->nodes);
  for (const GraphNodePtr& node : exec->nodes) {
    const bool works = node->operation.gpu_ns != 0 || node->operation.action != nullptr;
    if (works) SubmitTo(*target.owner, *target.stream, node->operation, node->type);
  }
  return CUDA_SUCCESS;
}

CUresult Instantiate(CUgraphExec* out, CUgraph graph_handle, unsigned long long flags) {
  if (const CUresult error = Ready()) return error;
  const auto graph = TheDriver().graphs.Find(graph_handle);
  if (out == nullptr || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(graph->mu);
  const bool has_memory = HasMemory(graph->nodes);
  const auto other = graph->exec.lock();
  if (has_memory && other != nullptr && TheDriver().graph_execs.Find(other.get()) != nullptr) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  auto exec = std::make_shared<GraphExec>();
  exec->nodes = graph->nodes;
  exec->frees_on_launch = (flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH) != 0;
  graph->exec = exec;
  *out = reinterpret_cast<CUgraphExec>(exec.get());
  TheDriver().graph_execs.Add(std::move(exec));
  return CUDA_SUCCESS;
}

/// Maps what the graph needs, so that a launch takes no more. A graph whose memory is live is there
/// already.
CUresult Upload(CUgraphExec handle, CUstream stream, bool per_thread) {
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  const auto exec = TheDriver().graph_execs.Find(handle);
  if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult error = RefuseCapture(*target.stream)) return error;
  const CUresult result = ReserveForGraph(exec->nodes);
  return result == CUDA_ERROR_OUT_OF_MEMORY ? result : CUDA_SUCCESS;
}

CUresult InstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                               CUDA_GRAPH_INSTANTIATE_PARAMS* params, bool per_thread) {
  if (const CUresult error = Ready()) return error;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = Instantiate(exec, graph, params->flags);
  if (result == CUDA_SUCCESS && (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0) {
    result = Upload(*exec, params->hUploadStream, per_thread);
    if (result != CUDA_SUCCESS) TheDriver().graph_execs.Take(*exec);
  }
  params->hErrNode_out = nullptr;
  params->result_out =
      result == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR;
  return result;
}

}  // namespace

extern "C" {

CUresult cuGraphCreate(CUgraph* out, unsigned int flags) {
  if (const CUresult error = Ready()) return error;
  if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  auto graph = std::make_shared<Graph>();
  *out = reinterpret_cast<CUgraph>(graph.get());
  TheDriver().graphs.Add(std::move(graph));
  return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph) {
  if (const CUresult error = Ready()) return error;
  return TheDriver().graphs.Take(graph) != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode*, char*, std::size_t) {
  return Instantiate(exec, graph, 0);
}
CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode*, char*, std::size_t) {
  return Instantiate(exec, graph, 0);
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  return Instantiate(exec, graph, flags);
}
CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  return InstantiateWithParams(exec, graph, params, false);
}
CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec* exec, CUgraph graph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  return InstantiateWithParams(exec, graph, params, true);
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  if (const CUresult error = Ready()) return error;
  return TheDriver().graph_execs.Take(exec) != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream) { return Upload(exec, stream, false); }
CUresult cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream) {
  return Upload(exec, stream, true);
}
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  return Journal("cuGraphLaunch", {}, LaunchGraph(exec, stream, false));
}
CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream) {
  return Journal("cuGraphLaunch_ptsz", {}, LaunchGraph(exec, stream, true));
}

}  // extern "C"
