#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "common/abi/cuda_more.h"
#include "sim/cuda/graph_memory.h"
#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

/// One node. Nodes run in the order in which they were added, which respects their dependencies.
struct GraphNode {
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  FunctionPtr function = {};
  Operation operation = {};  ///< what it puts into the stream's queue, of all but memory nodes
  GraphBlockPtr block = {};  ///< of memory nodes
};
using GraphNodePtr = std::shared_ptr<GraphNode>;

struct Graph {
  std::mutex mu;  ///< guards the rest
  std::vector<GraphNodePtr> nodes;
  std::weak_ptr<struct GraphExec> exec;  ///< the only one that a graph with memory nodes may have
};

struct GraphExec {
  std::vector<GraphNodePtr> nodes;
  bool frees_on_launch = false;
};

CUgraphNode Handle(const GraphNodePtr& node);
/// The node of a living graph that a handle means; null: none.
GraphNodePtr FindNode(CUgraphNode handle);
/// True if any node allocates or frees.
bool HasMemory(const std::vector<GraphNodePtr>& nodes);
/// Appends a node; its handle.
CUgraphNode Append(Graph& graph, GraphNode node);

}  // namespace tessera::sim::cuda
