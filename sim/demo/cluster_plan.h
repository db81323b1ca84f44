#pragma once

#include <string>
#include <vector>

#include "binpack/types.h"

/// The machines of the demo. Pure.
namespace tessera::sim {

struct SimulatedNode {
  std::string name;
  std::string model;
  int gpus = 0;
  std::int64_t memory_mib = 0;  ///< of each GPU
  int multiprocessors = 0;
};

/// Three nodes with different GPUs: 2 x A10, 4 x H100, 1 x T4.
std::vector<SimulatedNode> DemoNodes();

/// The uuid of a node's GPU; the same in every run.
std::string GpuUuid(std::size_t node_index, int gpu_index);

/// What TESSERA_SIM_GPUS points at, for the `node_index`th node: see sim/cuda/README.md.
std::string GpusFile(const SimulatedNode& node, std::size_t node_index);

}  // namespace tessera::sim
