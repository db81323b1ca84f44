#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "binpack/place/demand.h"
#include "binpack/place/room.h"
#include "common/base/result.h"

/// Replays of pods that arrive at a cluster, to see what a placement policy is worth. Pure: text
/// in, numbers out; files are read by whoever calls.
namespace tessera::binpack::simulate {

/// Nodes, and pods in the order of their arrival.
struct Trace {
  std::vector<NodeRoom> nodes;
  std::vector<PodShape> pods;
  std::vector<std::string> models;  ///< by model number
};

/// Adds the nodes of a CSV file with the columns sn, cpu_milli, memory_mib, gpu, model (in any
/// order, others are ignored). Nodes without GPUs are left out: what is simulated is a GPU pool.
Result<void> ParseNodes(std::string_view csv, Trace& trace);

/// Adds the pods of a CSV file with the columns cpu_milli, memory_mib, num_gpu, gpu_milli and,
/// where there are such, gpu_spec ("A|B": acceptable models, empty: any) and gpu_memory_milli
/// (thousandths of each GPU's memory; without the column as much as gpu_milli). Models that no node
/// has are known after ParseNodes; a pod that accepts only others fits nowhere.
Result<void> ParsePods(std::string_view csv, Trace& trace);

/// The mix of the pods.
Demand DemandOf(const std::vector<PodShape>& pods);

/// The pods with other shares of memory: `memory` of the pods that share a GPU is a permutation of
/// their `cores`, with rank correlation `rho` (a Gaussian copula); the rest stay as they are.
/// REQUIRES: 0 <= rho <= 1.
std::vector<PodShape> WithMemoryCorrelation(std::vector<PodShape> pods, double rho,
                                            std::uint64_t seed);

}  // namespace tessera::binpack::simulate
