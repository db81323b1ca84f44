#pragma once

#include "binpack/simulate/trace.h"
#include "common/json/json.h"

namespace tessera::cli {

/// A trace from the items of a list of nodes and a list of pods: nodes with an inventory, empty,
/// and the pods that run on any node, as they would arrive anew.
///
/// CPU and memory are a node's allocatable amounts and the sums of a pod's requests. A node counts
/// with the model of its first GPU and with healthy GPUs only; MiB of GPU memory become a part of
/// the GPU on the pod's own node (or of the smallest there is). A pod with several GPU containers
/// counts with all their GPUs and the largest of their shares. Pods that cannot be read are left
/// out; `skipped` counts them, and nodes with more GPUs than kMaxRoomGpus.
struct ClusterTrace {
  binpack::simulate::Trace trace;
  int skipped = 0;
};
Result<ClusterTrace> TraceOfCluster(const rapidjson::Value& nodes, const rapidjson::Value& pods);

}  // namespace tessera::cli
