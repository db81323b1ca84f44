#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "common/abi/cuda_more.h"
#include "sim/cuda/objects.h"

namespace tessera::sim::cuda {

struct GraphNode;

/// One allocation node's memory: an address for good, memory while it is live.
struct GraphBlock {
  Device* device = nullptr;
  CUdeviceptr base = 0;
  std::size_t bytes = 0;     ///< asked for
  std::size_t reserved = 0;  ///< of addresses
  std::atomic<bool> is_freed_in_graph{false};

  GraphBlock() = default;
  GraphBlock(const GraphBlock&) = delete;
  GraphBlock& operator=(const GraphBlock&) = delete;
  ~GraphBlock();
};
using GraphBlockPtr = std::shared_ptr<GraphBlock>;

/// What graphs have of a device. It grows in chunks when a graph is launched or uploaded that needs
/// more at once than is there, and shrinks when it is trimmed; graphs use it one after the other.
struct GraphMemory {
  std::mutex mu;  ///< guards the rest
  std::map<CUdeviceptr, GraphBlockPtr> live;
  std::uint64_t used_bytes = 0;  ///< of what is live
  std::uint64_t used_high_bytes = 0;
  std::uint64_t reserved_bytes = 0;
  std::uint64_t reserved_high_bytes = 0;
};

/// An address for a node. Null: none is left.
GraphBlockPtr MakeGraphBlock(Device& device, std::size_t bytes);
/// The block that starts at an address, live or not; null: none.
GraphBlockPtr FindGraphBlock(CUdeviceptr base);
/// Frees a live block; false: it is not live.
bool FreeGraphBlock(GraphBlock& block);

/// Takes from the device what a graph needs at once; CUDA_ERROR_OUT_OF_MEMORY where it cannot.
/// CUDA_ERROR_INVALID_VALUE where a node would allocate what is live already.
CUresult ReserveForGraph(const std::vector<std::shared_ptr<GraphNode>>& nodes);
/// Makes live what a launch allocates and does not free. REQUIRES: memory was reserved for it.
void RunMemoryNodes(const std::vector<std::shared_ptr<GraphNode>>& nodes);
/// Frees everything that the graph's nodes have allocated and not freed.
void FreeOnLaunch(const std::vector<std::shared_ptr<GraphNode>>& nodes);

}  // namespace tessera::sim::cuda
