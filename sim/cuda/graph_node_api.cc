#include <algorithm>

#include "common/abi/cuda_more.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/launch.h"

namespace tessera::sim::cuda {

CUgraphNode Handle(const GraphNodePtr& node) { return reinterpret_cast<CUgraphNode>(node.get()); }

GraphNodePtr FindNode(CUgraphNode handle) {
  GraphNodePtr found;
  TheDriver().graphs.ForEach([&](Graph& graph) {
    const std::lock_guard lock(graph.mu);
    for (const GraphNodePtr& node : graph.nodes) {
      if (Handle(node) == handle) found = node;
    }
  });
  return found;
}

bool HasMemory(const std::vector<GraphNodePtr>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const GraphNodePtr& node) { return node->block != nullptr; });
}

CUgraphNode Append(Graph& graph, GraphNode node) {
  const std::lock_guard lock(graph.mu);
  graph.nodes.push_back(std::make_shared<GraphNode>(std::move(node)));
  return Handle(graph.nodes.back());
}

}  // namespace tessera::sim::cuda

using namespace tessera::sim::cuda;

namespace {

/// The graph that a node may be added to. Nodes run in the order in which they were added, which
/// keeps every dependency: a node can only depend on one that is there.
CUresult Open(CUgraph handle, const CUgraphNode* dependencies, std::size_t count,
              std::shared_ptr<Graph>& graph) {
  if (const CUresult error = Ready()) return error;
  graph = TheDriver().graphs.Find(handle);
  if (graph == nullptr || (count != 0 && dependencies == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(graph->mu);
  for (std::size_t i = 0; i < count; ++i) {
    const bool known =
        std::any_of(graph->nodes.begin(), graph->nodes.end(),
                    [&](const GraphNodePtr& other) { return Handle(other) == dependencies[i]; });
    if (!known) return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

CUresult Add(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, std::size_t count,
             GraphNode node) {
  std::shared_ptr<Graph> graph;
  const CUresult error = Open(handle, dependencies, count, graph);
  if (error != CUDA_SUCCESS || out == nullptr) {
    return error != CUDA_SUCCESS ? error : CUDA_ERROR_INVALID_VALUE;
  }
  *out = Append(*graph, std::move(node));
  return CUDA_SUCCESS;
}

CUresult AddAlloc(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies,
                  std::size_t count, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  std::shared_ptr<Graph> graph;
  if (const CUresult error = Open(handle, dependencies, count, graph)) return error;
  if (out == nullptr || params == nullptr || params->bytesize == 0 ||
      params->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
      params->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Device* device = FindDevice(params->poolProps.location.id);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  return AppendAlloc(*graph, *device, params->bytesize, &params->dptr, out);
}

CUresult AddFree(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies,
                 std::size_t count, CUdeviceptr ptr) {
  std::shared_ptr<Graph> graph;
  if (const CUresult error = Open(handle, dependencies, count, graph)) return error;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return AppendFree(*graph, ptr, out);
}

/// By the type; kinds of nodes that carry no memory are added by functions of their own.
CUresult AddAny(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, std::size_t count,
                CUgraphNodeParams* params) {
  if (const CUresult error = Ready()) return error;
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
      return AddAlloc(out, graph, dependencies, count, &params->alloc);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return AddFree(out, graph, dependencies, count, params->free.dptr);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return Add(out, graph, dependencies, count, {});
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CUresult MakeKernel(const CUDA_KERNEL_NODE_PARAMS* params, GraphNode& node) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  node.type = CU_GRAPH_NODE_TYPE_KERNEL;
  node.function = TheDriver().functions.Find(
      params->func != nullptr ? params->func : reinterpret_cast<CUfunction>(params->kern));
  if (node.function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const KernelWork work =
      WorkOf(*node.function, {{params->gridDimX, params->gridDimY, params->gridDimZ},
                              {params->blockDimX, params->blockDimY, params->blockDimZ},
                              params->sharedMemBytes,
                              params->kernelParams,
                              params->extra});
  node.operation = {.gpu_ns = work.gpu_ns, .raises = work.raises};
  return work.error;
}

}  // namespace

extern "C" {

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
  return Add(node, graph, dependencies, count,
             {.type = CU_GRAPH_NODE_TYPE_HOST,
              .operation = {.action = [host = *params](std::uint64_t, bool skipped) {
                if (!skipped) host.fn(host.userData);
              }}});
}

CUresult cuGraphAddMemAllocNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                std::size_t count, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  return AddAlloc(node, graph, dependencies, count, params);
}

CUresult cuGraphAddMemFreeNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                               std::size_t count, CUdeviceptr ptr) {
  return AddFree(node, graph, dependencies, count, ptr);
}

CUresult cuGraphAddNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                        std::size_t count, CUgraphNodeParams* params) {
  return AddAny(node, graph, dependencies, count, params);
}

CUresult cuGraphAddNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                           const CUgraphEdgeData*, std::size_t count, CUgraphNodeParams* params) {
  return AddAny(node, graph, dependencies, count, params);
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

CUresult cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType* type) {
  if (const CUresult error = Ready()) return error;
  const GraphNodePtr node = FindNode(handle);
  if (node == nullptr || type == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *type = node->type;
  return CUDA_SUCCESS;
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode handle, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  if (const CUresult error = Ready()) return error;
  const GraphNodePtr node = FindNode(handle);
  if (node == nullptr || params == nullptr || node->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *params = {};
  params->poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  params->poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, node->block->device->ordinal};
  params->bytesize = node->block->bytes;
  params->dptr = node->block->base;
  return CUDA_SUCCESS;
}

CUresult cuGraphMemFreeNodeGetParams(CUgraphNode handle, CUdeviceptr* ptr) {
  if (const CUresult error = Ready()) return error;
  const GraphNodePtr node = FindNode(handle);
  if (node == nullptr || ptr == nullptr || node->type != CU_GRAPH_NODE_TYPE_MEM_FREE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *ptr = node->block->base;
  return CUDA_SUCCESS;
}

}  // extern "C"
