#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "binpack/gpu_preference.h"
#include "binpack/node.h"
#include "binpack/place/node_value.h"
#include "binpack/reservation.h"

namespace tessera::binpack {

/// Names of GPU models by their number, at most kMaxModels.
using ModelNames = std::vector<std::string>;

/// What is left on a node as placement sees it: shares rounded down, healthy GPUs that nobody holds
/// exclusively. CPU that the node did not tell is kUnknownCpu. GPUs past kMaxRoomGpus are left out.
/// `model` is that of the first GPU, or 0 if it has no number.
NodeRoom RoomOf(const NodeInfo& node, const ModelNames& models);
/// The same after Reserve(node, reservation), without touching the node.
NodeRoom RoomAfter(const NodeInfo& node, const ModelNames& models, const Reservation& reservation);

/// Appends the models of the nodes that are not in `models` yet, while there is space.
void AddModels(std::span<const NodeInfo* const> nodes, ModelNames& models);

/// The shape of a pod: all its GPUs with the largest of its containers' shares. MiB become a part
/// of `gpu_memory_mib`. CPU is rounded up to two digits (12 345 becomes 13 000): the demand has
/// room for few shapes, and nearly equal ones would push each other out.
PodShape ShapeOf(const PodRequest& request, const ModelNames& models, std::int64_t gpu_memory_mib);

/// Scores placements by NodeValue, on nodes as the extender has them, and prefers the GPU that
/// leaves the least lost. Immutable, so any thread may use it.
class ScoreModel final : public GpuPreference {
 public:
  /// `nodes`: the whole cluster as it is; slot prices are those of now. `models`: the numbers that
  /// the demand's shapes speak of.
  ScoreModel(const Demand& demand, std::span<const NodeInfo* const> nodes, ModelNames models,
             const ValueWeights& weights = {});

  /// [0, kMaxFineScore]: the middle where nothing is lost or won, more where the placement uses up
  /// what others could not use. REQUIRES: `reservation` fits on `node`.
  std::int64_t Score(const NodeInfo& node, const Reservation& reservation) const;

  /// No opinion on nodes with an unknown model or with more GPUs than a room has.
  void Rate(const NodeInfo& node, const PodRequest& request, std::span<const Amount> held,
            std::span<GpuOption> options) const override;

  const ModelNames& models() const { return models_; }
  /// Mean memory of the cluster's GPUs.
  std::int64_t gpu_memory_mib() const { return gpu_memory_mib_; }

 private:
  double LostWith(NodeRoom& room, std::size_t gpu, const Share& rest) const;

  ModelNames models_;
  std::int64_t gpu_memory_mib_ = 0;
  NodeValue value_;
  SlotPrices prices_{};
};

}  // namespace tessera::binpack
