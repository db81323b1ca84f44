#include "binpack/place/demand.h"

#include <map>

namespace tessera::binpack {

Demand MakeDemand(std::span<const TypicalPod> weighted) {
  std::map<PodShape, double> sums;
  double total = 0;
  for (const TypicalPod& pod : weighted) {
    if (!(pod.frequency > 0)) continue;
    PodShape shape = pod.shape;
    shape.memory_mib = 0;
    sums[shape] += pod.frequency;
    total += pod.frequency;
  }
  Demand demand;
  demand.pods.reserve(sums.size());
  for (const auto& [shape, sum] : sums) demand.pods.push_back({shape, sum / total});
  return demand;
}

Fleet FleetOf(std::span<const NodeRoom> empty_nodes) {
  Fleet fleet;
  double gpus_with_cpu = 0;
  for (const NodeRoom& node : empty_nodes) {
    if (node.cpu_milli != kUnknownCpu) {
      fleet.cpu_milli += node.cpu_milli;
      gpus_with_cpu += node.gpus;
    }
    fleet.gpus += node.gpus;
    const auto model = static_cast<std::size_t>(node.model);
    if (model >= fleet.gpus_of_model.size()) fleet.gpus_of_model.resize(model + 1, 0);
    fleet.gpus_of_model[model] += node.gpus;
  }
  // Half the CPU against all GPUs would make CPU look twice as scarce as it is.
  if (gpus_with_cpu > 0) fleet.cpu_milli *= fleet.gpus / gpus_with_cpu;
  return fleet;
}

DemandTotals TotalsOf(const Demand& demand) {
  DemandTotals totals;
  double cpu_with_gpus = 0;
  for (const auto& [shape, frequency] : demand.pods) {
    totals.gpus += frequency * GpusOf(shape);
    totals.cpu_milli += frequency * shape.cpu_milli;
    if (shape.gpus > 0) cpu_with_gpus += frequency * shape.cpu_milli;
  }
  if (totals.gpus > 0) totals.cpu_per_gpu = cpu_with_gpus / totals.gpus;
  return totals;
}

}  // namespace tessera::binpack
