#include <algorithm>

#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/launch.h"
#include "sim/cuda/pool.h"

using namespace tessera::sim::cuda;

namespace {

CUgraphNode Handle(const GraphNodePtr& node) { return reinterpret_cast<CUgraphNode>(node.get()); }

/// Adds a node whose dependencies are nodes of the same graph. Nodes run in the order in which they
/// were added, which keeps every dependency: a node can only depend on one that is there.
CUresult Add(CUgraphNode* out, CUgraph graph_handle, const CUgraphNode* dependencies,
             std::size_t count, GraphNode node) {
  if (const CUresult error = Ready()) return error;
  const auto graph = TheDriver().graphs.Find(graph_handle);
  if (graph == nullptr || out == nullptr || (count != 0 && dependencies == nullptr)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const bool known =
        std::any_of(graph->nodes.begin(), graph->nodes.end(),
                    [&](const GraphNodePtr& other) { return Handle(other) == dependencies[i]; });
    if (!known) return CUDA_ERROR_INVALID_VALUE;
  }
  graph->nodes.push_back(std::make_shared<GraphNode>(std::move(node)));
  *out = Handle(graph->nodes.back());
  return CUDA_SUCCESS;
}

CUresult MakeKernel(const CUDA_KERNEL_NODE_PARAMS* params, GraphNode& node) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  node.kind = NodeKind::kKernel;
  node.function = TheDriver().functions.Find(
      params->func != nullptr ? params->func : reinterpret_cast<CUfunction>(params->kern));
  if (node.function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const KernelWork work =
      WorkOf(*node.function, {{params->gridDimX, params->gridDimY, params->gridDimZ},
                              {params->blockDimX, params->blockDimY, params->blockDimZ},
                              params->sharedMemBytes,
                              params->kernelParams,
                              params->extra});
  node.gpu_ns = work.gpu_ns;
  node.raises = work.raises;
  return work.error;
}

CUresult LaunchGraph(CUgraphExec handle, CUstream stream, bool per_thread) {
  const Target target(stream, per_thread);
  if (target.error != CUDA_SUCCESS) return target.error;
  const auto exec = TheDriver().graph_execs.Find(handle);
  if (exec == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (const GraphNodePtr& node : exec->nodes) {
    if (node->kind == NodeKind::kKernel) {
      SubmitTo(*target.owner, *target.stream, {.gpu_ns = node->gpu_ns, .raises = node->raises});
    } else if (node->kind == NodeKind::kHost) {
      SubmitTo(*target.owner, *target.stream,
               {.action = [host = node->host](std::uint64_t, bool skipped) {
                 if (!skipped) host.fn(host.userData);
               }});
    }
  }
  return CUDA_SUCCESS;
}

CUresult Instantiate(CUgraphExec* out, CUgraph graph_handle) {
  if (const CUresult error = Ready()) return error;
  const auto graph = TheDriver().graphs.Find(graph_handle);
  if (out == nullptr || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto exec = std::make_shared<GraphExec>();
  exec->nodes = graph->nodes;
  *out = reinterpret_cast<CUgraphExec>(exec.get());
  TheDriver().graph_execs.Add(std::move(exec));
  return CUDA_SUCCESS;
}

CUresult Upload(CUgraphExec exec) {
  const Current current;
  if (!current) return current.error();
  return TheDriver().graph_execs.Find(exec) != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
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

CUresult cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                             std::size_t count) {
  return Add(node, graph, dependencies, count, {});
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                 std::size_t count, const CUDA_KERNEL_NODE_PARAMS* params) {
  if (const CUresult error = Ready()) return error;
  GraphNode kernel;
  if (const CUresult error = MakeKernel(params, kernel)) return error;
  return Add(node, graph, dependencies, count, std::move(kernel));
}

CUresult cuGraphAddHostNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                            std::size_t count, const CUDA_HOST_NODE_PARAMS* params) {
  if (const CUresult error = Ready()) return error;
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Add(node, graph, dependencies, count, {.kind = NodeKind::kHost, .host = *params});
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, std::size_t* count) {
  if (const CUresult error = Ready()) return error;
  const auto graph = TheDriver().graphs.Find(handle);
  if (graph == nullptr || count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (nodes != nullptr) {
    for (std::size_t i = 0; i < *count; ++i) {
      nodes[i] = i < graph->nodes.size() ? Handle(graph->nodes[i]) : nullptr;
    }
    *count = std::min(*count, graph->nodes.size());
  } else {
    *count = graph->nodes.size();
  }
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long) {
  return Instantiate(exec, graph);
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  if (const CUresult error = Ready()) return error;
  return TheDriver().graph_execs.Take(exec) != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream) { return Upload(exec); }
CUresult cuGraphUpload_ptsz(CUgraphExec exec, CUstream) { return Upload(exec); }
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  return Journal("cuGraphLaunch", {}, LaunchGraph(exec, stream, false));
}
CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream) {
  return Journal("cuGraphLaunch_ptsz", {}, LaunchGraph(exec, stream, true));
}

// Memory nodes are not simulated: a graph with one cannot be built.
CUresult cuGraphAddMemAllocNode(CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t,
                                CUDA_MEM_ALLOC_NODE_PARAMS*) {
  const CUresult error = Ready();
  return error != CUDA_SUCCESS ? error : CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuGraphAddMemFreeNode(CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t,
                               CUdeviceptr) {
  const CUresult error = Ready();
  return error != CUDA_SUCCESS ? error : CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuDeviceGraphMemTrim(CUdevice device) {
  if (const CUresult error = Ready()) return error;
  return FindDevice(device) == nullptr ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

}  // extern "C"
