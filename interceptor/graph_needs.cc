#include "interceptor/graph_needs.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>

#include "interceptor/charge.h"
#include "interceptor/driver.h"

namespace tessera {
namespace {

/// By handle. `bytes` as in GraphUse, `device` an ordinal, `owner` the stream, `references` trims.
constinit Ledger graphs;
constinit std::atomic<bool> any = false;

struct Sum {
  std::uint64_t all = 0;
  std::uint64_t largest = 0;
  bool allocates = false;
  bool frees = false;
  CUdevice ordinal = 0;
};

void AddGraph(CUgraph graph, Sum& sum);

void AddAllocation(CUgraphNode node, Sum& sum) {
  CUDA_MEM_ALLOC_NODE_PARAMS params = {};
  if (Real().cuGraphMemAllocNodeGetParams(node, &params) != CUDA_SUCCESS ||
      params.poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return;
  }
  const CUdevice ordinal = params.poolProps.location.id;
  GraphMemoryOf(ordinal);  // so that it is settled
  if (!sum.allocates) sum.ordinal = ordinal;
  sum.allocates = true;
  if (ordinal != sum.ordinal) return;
  sum.all += params.bytesize;
  sum.largest = std::max<std::uint64_t>(sum.largest, params.bytesize);
}

void AddNode(CUgraphNode node, Sum& sum) {
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  if (Real().cuGraphNodeGetType(node, &type) != CUDA_SUCCESS) return;
  CUgraph child = nullptr;
  if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
    AddAllocation(node, sum);
  } else if (type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
    sum.frees = true;
  } else if (type == CU_GRAPH_NODE_TYPE_GRAPH &&
             Real().cuGraphChildGraphNodeGetGraph(node, &child) == CUDA_SUCCESS) {
    AddGraph(child, sum);
  }
}

void AddGraph(CUgraph graph, Sum& sum) {
  std::size_t room = 0;
  if (Real().cuGraphGetNodes(graph, nullptr, &room) != CUDA_SUCCESS || room == 0) return;
  void* const memory = mmap(nullptr, room * sizeof(CUgraphNode), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  auto* const nodes = static_cast<CUgraphNode*>(memory);
  std::size_t count = room;
  if (Real().cuGraphGetNodes(graph, nodes, &count) == CUDA_SUCCESS) {
    std::for_each(nodes, nodes + std::min(count, room),
                  [&](CUgraphNode node) { AddNode(node, sum); });
  }
  munmap(memory, room * sizeof(CUgraphNode));
}

void Write(CUgraphExec exec, const GraphUse& use) {
  Charge replaced;
  graphs.Insert(KeyOf(exec),
                {.bytes = use.bytes,
                 .account = static_cast<std::uint16_t>(use.ordinal),
                 .references = use.trims,
                 .owner = KeyOf(use.uploaded_for)},
                replaced);
}

}  // namespace

void RememberGraph(CUgraphExec exec, CUgraph graph) {
  Sum sum;
  AddGraph(graph, sum);
  if (!sum.allocates) {
    if (AnyGraphs()) ForgetGraph(exec);  // the handle may have been another graph's
    return;
  }
  Write(exec, {.bytes = sum.frees ? sum.largest : sum.all, .ordinal = sum.ordinal});
  any.store(true, std::memory_order_release);
}

bool FindGraph(CUgraphExec exec, GraphUse& use) {
  Charge entry;
  if (!graphs.Find(KeyOf(exec), entry)) return false;
  use = {.bytes = entry.bytes,
         .ordinal = entry.account,
         .uploaded_for = reinterpret_cast<CUstream>(entry.owner),
         .trims = entry.references};
  return true;
}

void GraphUploaded(CUgraphExec exec, const GraphUse& use, CUstream stream) {
  GraphUse now = use;
  now.uploaded_for = stream;
  now.trims = GraphTrims();
  Write(exec, now);
}

void ForgetGraph(CUgraphExec exec) {
  Charge unused;
  graphs.Take(KeyOf(exec), unused);
}

bool AnyGraphs() { return any.load(std::memory_order_acquire); }

void ForgetGraphsAfterFork() {
  graphs.ForgetAfterFork();
  any.store(false, std::memory_order_relaxed);
}

}  // namespace tessera
