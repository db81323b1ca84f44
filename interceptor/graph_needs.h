#pragma once

#include <cstdint>

#include "common/abi/cuda_more.h"

/// Which executable graphs allocate memory, and what is known of it. Thread-safe.
namespace tessera {

struct GraphUse {
  /// At least so much is in use at once when it runs: what it allocates without freeing any, or its
  /// largest allocation.
  std::uint64_t bytes = 0;
  CUdevice ordinal = 0;             ///< of the first node that allocates
  CUstream uploaded_for = nullptr;  ///< the stream for which its memory was mapped last
  std::uint32_t trims = 0;          ///< GraphTrims() at that time; 0: never
};

/// Looks at the graph's nodes. One without memory nodes is not remembered.
void RememberGraph(CUgraphExec exec, CUgraph graph);
bool FindGraph(CUgraphExec exec, GraphUse& use);
void GraphUploaded(CUgraphExec exec, const GraphUse& use, CUstream stream);
void ForgetGraph(CUgraphExec exec);
/// Whether there ever was one.
bool AnyGraphs();

void ForgetGraphsAfterFork();

}  // namespace tessera
