#pragma once

#include <memory>
#include <vector>

#include "common/abi/cuda_more.h"
#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

struct Pool;

enum class NodeKind { kEmpty, kKernel, kHost, kAllocate, kFree };

/// One node. Nodes run in the order in which they were added, which respects their dependencies.
struct GraphNode {
  NodeKind kind = NodeKind::kEmpty;
  FunctionPtr function = {};
  std::uint64_t gpu_ns = 0;
  int raises = 0;
  CUDA_HOST_NODE_PARAMS host = {};
  CUdeviceptr address = 0;  ///< of an allocation or a free
  std::size_t bytes = 0;    ///< charged by an allocation
};
using GraphNodePtr = std::shared_ptr<GraphNode>;

struct Graph {
  std::vector<GraphNodePtr> nodes;
};

struct GraphExec {
  std::vector<GraphNodePtr> nodes;
};

}  // namespace tessera::sim::cuda
