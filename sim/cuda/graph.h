#pragma once

#include <memory>
#include <vector>

#include "common/abi/cuda_more.h"
#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

enum class NodeKind { kEmpty, kKernel, kHost };

/// One node. Nodes run in the order in which they were added, which respects their dependencies.
struct GraphNode {
  NodeKind kind = NodeKind::kEmpty;
  FunctionPtr function = {};
  std::uint64_t gpu_ns = 0;
  int raises = 0;
  CUDA_HOST_NODE_PARAMS host = {};
};
using GraphNodePtr = std::shared_ptr<GraphNode>;

struct Graph {
  std::vector<GraphNodePtr> nodes;
};

struct GraphExec {
  std::vector<GraphNodePtr> nodes;
};

}  // namespace tessera::sim::cuda
