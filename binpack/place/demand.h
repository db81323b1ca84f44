#pragma once

#include <span>
#include <vector>

#include "binpack/place/room.h"

namespace tessera::binpack {

/// A shape that pods often have, and its part of all pods.
struct TypicalPod {
  PodShape shape;  ///< memory_mib is not looked at
  double frequency = 0;
};

/// The pods to be expected; frequencies add up to 1 (or there are none).
struct Demand {
  std::vector<TypicalPod> pods;
};

/// Groups equal shapes and scales weights to a sum of 1. Host memory is dropped from the shapes:
/// the measure does not look at it. Weights that are not positive are ignored.
Demand MakeDemand(std::span<const TypicalPod> weighted);

/// What exists, without anything placed.
struct Fleet {
  double cpu_milli = 0;  ///< a node of unknown CPU counts with the others' mean CPU for each GPU;
                         ///< 0: none is known
  double gpus = 0;
  std::vector<double> gpus_of_model;  ///< up to the last model that there is
};
Fleet FleetOf(std::span<const NodeRoom> empty_nodes);

/// Sums over a demand that several terms need; all per mean pod.
struct DemandTotals {
  double gpus = 0;
  double cpu_milli = 0;
  double cpu_per_gpu = 0;  ///< of pods with GPUs, milli per GPU
};
DemandTotals TotalsOf(const Demand& demand);

}  // namespace tessera::binpack
